package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/shared/api"
	"outpost/shared/clock"
)

type queues interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

type handler struct {
	queues     queues
	dead, live string // URLs
	clock      clock.Clock
}

// The bounds of one request.
const (
	most    = 200
	longest = 15 * time.Second
)

type answer struct {
	Moved int `json:"moved"`
	Left  int `json:"left"`
}

// handle moves messages until none is seen, or a bound is reached. A message is
// put back before it is taken away: who dies between the two leaves it in both
// queues, and each event acts once.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	moved, err := h.move(ctx)
	if moved > 0 {
		slog.InfoContext(ctx, "events of Stripe's are tried again", "request", r.ID, "moved", moved)
	}
	if err != nil {
		return api.Response{}, fmt.Errorf("after %d messages: %w", moved, err)
	}
	left, err := h.left(ctx)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(answer{moved, left}), nil
}

func (h handler) move(ctx context.Context) (moved int, err error) {
	for began := h.clock.Now(); moved < most && h.clock.Now().Sub(began) < longest; {
		out, err := h.queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &h.dead, MaxNumberOfMessages: min(10, int32(most-moved)), WaitTimeSeconds: 1,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameMessageGroupId}})
		if err != nil {
			return moved, fmt.Errorf("receive from the dead-letter queue: %w", err)
		}
		if len(out.Messages) == 0 {
			return moved, nil
		}
		for _, m := range out.Messages {
			if err := h.moveOne(ctx, m); err != nil {
				return moved, err
			}
			moved++
		}
	}
	return moved, nil
}

// moveOne puts a message back under a deduplication id of this dead letter's own.
// The event's id would not do: the queue swallows for five minutes what has an id
// that it saw, be it of a message that has died since. Moved twice, as after a
// crash, it is swallowed once.
func (h handler) moveOne(ctx context.Context, m types.Message) error {
	group := cmp.Or(m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)], "replayed")
	if _, err := h.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &h.live, MessageBody: m.Body, MessageGroupId: &group,
		MessageDeduplicationId: aws.String("replay-" + aws.ToString(m.MessageId))}); err != nil {
		return fmt.Errorf("put a message back: %w", err)
	}
	if _, err := h.queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &h.dead, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("take a message away that was put back: %w", err)
	}
	return nil
}

// left is about how many messages the dead-letter queue has, those included that
// another replay has in hand.
func (h handler) left(ctx context.Context) (n int, err error) {
	names := []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible}
	out, err := h.queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &h.dead, AttributeNames: names})
	if err != nil {
		return 0, fmt.Errorf("count the dead letters: %w", err)
	}
	for _, name := range names {
		count, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("count the dead letters: %w", err)
		}
		n += count
	}
	return n, nil
}
