package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/platform"
	"outpost/shared/problem"
	"outpost/shared/stripe"
)

type sender interface {
	Send(ctx context.Context, e stripe.Event) error
}

type handler struct {
	queue sender
	keys  platform.Stripe // empty where there is no billing
	clock clock.Clock
}

// handle acknowledges an event once it is in the queue, and one that Outpost does
// not listen to at once. An answer other than 2xx makes Stripe send the event again
// for three days.
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
	if err := h.queue.Send(ctx, e); err != nil {
		return api.Response{}, err
	}
	slog.InfoContext(ctx, "an event of Stripe's", "event", e.ID, "type", e.Type, "customer", e.Customer)
	return api.OK(answer{true}), nil
}

type answer struct {
	Received bool `json:"received"`
}
