package wakeup_test

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/infra/local/engines"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/wakeup"
)

func TestEveryWakeupArrives(t *testing.T) {
	ctx := context.Background()
	engine, err := engines.SQS(ctx, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Stop()
	client := sqs.New(sqs.Options{BaseEndpoint: &engine.Endpoint, Region: engines.Region,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")})
	queue, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("wakeups.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	sender := wakeup.NewSender(client, *queue.QueueUrl)
	a, b := id.New(id.Tenant, clock.System.Now()), id.New(id.Tenant, clock.System.Now())
	sent := []string{a, a, b} // two for one tenant are two reasons to look
	for _, tenant := range sent {
		if err := sender.Wake(ctx, tenant); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for len(got) < len(sent) {
		out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5})
		if err != nil || len(out.Messages) == 0 {
			t.Fatalf("received %v, then %v", got, err)
		}
		for _, m := range out.Messages {
			tenant, err := wakeup.Parse(*m.Body)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, tenant)
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(got, sent) {
		t.Errorf("sent %v, received %v", sent, got)
	}
}

func TestWhatIsNoWakeupIsRefused(t *testing.T) {
	for why, body := range map[string]string{
		"empty":        "",
		"no JSON":      "wake up",
		"another type": `[]`,
		"no tenant":    `{}`,
		"another kind": `{"tenant":"key_01KAR5G5M0000000000000000A"}`,
		"lower case":   `{"tenant":"ten_01kar5g5m0000000000000000a"}`,
		"a number":     `{"tenant":7}`,
	} {
		if tenant, err := wakeup.Parse(body); err == nil || tenant != "" {
			t.Errorf("%s: %q, %v", why, tenant, err)
		}
	}
}
