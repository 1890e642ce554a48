// Package triggers invokes functions as AWS does on its own account: for the
// messages of a queue, on a schedule, and for events of EventBridge.
package triggers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/shared/clock"
	"outpost/shared/topology"
)

// Invoker calls a Lambda function by name.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Poll is the event source mapping of a queue: it hands batches to the
// consumer and deletes them when it succeeds. It returns when the context ends.
func Poll(ctx context.Context, client *sqs.Client, url string, q topology.QueueSpec, inv Invoker, c clock.Clock, logf func(string, ...any)) {
	for ctx.Err() == nil {
		out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: int32(q.BatchSize), WaitTimeSeconds: 20,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
		if err != nil {
			if ctx.Err() == nil {
				logf("poll %s: %v", q.Name, err)
				pause(ctx, c, time.Second)
			}
			continue
		}
		if len(out.Messages) == 0 {
			continue
		}
		if err := consume(ctx, inv, q, out.Messages); err != nil {
			logf("consume %s: %v", q.Name, err)
			pause(ctx, c, time.Second) // it becomes visible again by itself
			continue
		}
		for _, m := range out.Messages {
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil && ctx.Err() == nil {
				logf("delete from %s: %v", q.Name, err)
			}
		}
	}
}

func consume(ctx context.Context, inv Invoker, q topology.QueueSpec, messages []types.Message) error {
	var e events.SQSEvent
	for _, m := range messages {
		e.Records = append(e.Records, events.SQSMessage{MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle, Body: *m.Body,
			Attributes: m.Attributes, EventSource: "aws:sqs", AWSRegion: "us-east-1",
			EventSourceARN: "arn:aws:sqs:us-east-1:000000000000:" + q.Name})
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = inv.Invoke(ctx, q.Consumer, payload)
	return err
}

// Every invokes a schedule's function at its interval until the context ends.
func Every(ctx context.Context, s topology.Schedule, interval time.Duration, inv Invoker, c clock.Clock, logf func(string, ...any)) {
	for pause(ctx, c, interval) {
		if err := Fire(ctx, s, inv, c); err != nil && ctx.Err() == nil {
			logf("schedule %s: %v", s.Name, err)
		}
	}
}

// Fire invokes a schedule's function now.
func Fire(ctx context.Context, s topology.Schedule, inv Invoker, c clock.Clock) error {
	payload, err := json.Marshal(map[string]any{"source": "aws.events", "detail-type": "Scheduled Event",
		"time": c.Now().Format(time.RFC3339), "resources": []string{s.Name}, "detail": map[string]any{}})
	if err != nil {
		return err
	}
	_, err = inv.Invoke(ctx, s.Function, payload)
	return err
}

// Deliver hands an EventBridge event to the functions whose rules match it.
func Deliver(ctx context.Context, event []byte, inv Invoker) error {
	var e struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		Detail     struct {
			LastStatus string `json:"lastStatus"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	for _, r := range topology.EventRules {
		if r.Source == e.Source && r.DetailType == e.DetailType && r.LastStatus == e.Detail.LastStatus {
			if _, err := inv.Invoke(ctx, r.Function, event); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, c clock.Clock, d time.Duration) bool {
	select {
	case <-c.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
