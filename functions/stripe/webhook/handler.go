package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/platform"
	"outpost/shared/problem"
	"outpost/shared/stripe"
)

type sender interface {
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

type handler struct {
	queue sender
	url   string
	keys  platform.Stripe // empty where there is no billing
	clock clock.Clock
}

// handle acknowledges an event once it is in the queue, and one that Outpost does
// not listen to at once. Events of one customer keep their order there, and the
// same event is taken once in five minutes; neither is relied on. An answer other
// than 2xx makes Stripe send the event again for three days.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	if h.keys.WebhookSecret == "" {
		return api.Response{}, problem.New(problem.BillingUnavailable, "This Outpost has no billing.")
	}
	e, err := stripe.ReadEvent(r.Body, r.Header["stripe-signature"], h.keys, h.clock.Now())
	switch {
	case errors.Is(err, stripe.ErrSignature):
		return api.Response{}, problem.New(problem.InvalidSignature, "The Stripe-Signature is not of this body, or not of now.").Because(err)
	case err != nil:
		slog.ErrorContext(ctx, "an event of Stripe's was refused", "error", err)
		return api.Response{}, problem.New(problem.InvalidSignature, "The event is not one for this Outpost: look at its API version, mode and account.").Because(err)
	}
	if e.Customer == "" || !slices.Contains(stripe.Events, e.Type) {
		slog.InfoContext(ctx, "an event of Stripe's that nothing depends on", "event", e.ID, "type", e.Type)
		return api.OK(answer{true}), nil
	}
	if err := h.enqueue(ctx, e); err != nil {
		return api.Response{}, err
	}
	slog.InfoContext(ctx, "an event of Stripe's", "event", e.ID, "type", e.Type, "customer", e.Customer)
	return api.OK(answer{true}), nil
}

type answer struct {
	Received bool `json:"received"`
}

func (h handler) enqueue(ctx context.Context, e stripe.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	text := string(body)
	if _, err := h.queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: &text, MessageGroupId: &e.Customer, MessageDeduplicationId: &e.ID}); err != nil {
		return fmt.Errorf("enqueue %s: %w", e.ID, err)
	}
	return nil
}
