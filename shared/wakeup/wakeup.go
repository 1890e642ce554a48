// Package wakeup sends and reads the messages that make the scheduler look at a
// tenant. They are hints: a lost one is made good by the reaper within a minute.
package wakeup

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/clock"
	"outpost/shared/id"
)

// group is the one message group of the queue: one scheduler runs at a time.
const group = "scheduler"

type message struct {
	Tenant string `json:"tenant"`
}

// Sender sends wakeups to the FIFO queue.
type Sender struct {
	client *sqs.Client
	queue  string
}

// NewSender returns a Sender to the queue of that URL.
func NewSender(client *sqs.Client, queueURL string) *Sender { return &Sender{client, queueURL} }

// Wake sends a wakeup for a tenant. Each has a deduplication id of its own: two
// for one tenant are two reasons to look.
func (s *Sender) Wake(ctx context.Context, tenant string) error {
	body, err := json.Marshal(message{tenant})
	if err != nil {
		return fmt.Errorf("wake %s: %w", tenant, err)
	}
	text, unique, one := string(body), id.NewULID(clock.System.Now()), group
	_, err = s.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &s.queue, MessageBody: &text,
		MessageGroupId: &one, MessageDeduplicationId: &unique})
	if err != nil {
		return fmt.Errorf("wake %s: %w", tenant, err)
	}
	return nil
}

// Parse returns the tenant that a message names.
func Parse(body string) (tenant string, err error) {
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return "", fmt.Errorf("no wakeup: %w", err)
	}
	if _, err := id.ULID(id.Tenant, m.Tenant); err != nil {
		return "", fmt.Errorf("no wakeup: tenant: %w", err)
	}
	return m.Tenant, nil
}
