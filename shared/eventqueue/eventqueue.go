// Package eventqueue puts into their queue the events for which a tenant's customer
// is to be looked at: Stripe's, and the operator's changes of a tenant.
package eventqueue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/stripe"
)

// Client is what is needed of SQS.
type Client interface {
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// Sender sends events to the FIFO queue of stripe/sync.
type Sender struct {
	SQS   Client
	Queue string // its URL
}

// Send puts an event into the queue. Events of one customer keep their order there,
// and the same event is taken once in five minutes; neither is relied on.
func (s Sender) Send(ctx context.Context, e stripe.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	text := string(body)
	if _, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &s.Queue, MessageBody: &text, MessageGroupId: &e.Customer, MessageDeduplicationId: &e.ID}); err != nil {
		return fmt.Errorf("enqueue %s: %w", e.ID, err)
	}
	return nil
}
