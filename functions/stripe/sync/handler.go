package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/entitlement"
	"outpost/shared/stripe"
	"outpost/shared/table"
)

type store interface {
	TenantOfCustomer(ctx context.Context, customer string) (tenantID string, err error)
}

type keeper interface {
	Sync(ctx context.Context, tenantID string, cause entitlement.Cause) (changed bool, err error)
}

type handler struct {
	store  store
	keeper keeper
}

// actor is how the audit trail names this function.
const actor = "stripe/sync"

// handle takes the queue's messages, which come one by one: an error leaves the
// message, and those of its customer behind it, in the queue, and in the end brings
// it to the dead letters. So does a message that is no event: a webhook that is
// newer than this function may have sent it.
func (h handler) handle(ctx context.Context, in events.SQSEvent) error {
	for _, m := range in.Records {
		var e stripe.Event
		if err := json.Unmarshal([]byte(m.Body), &e); err != nil || e.ID == "" || e.Customer == "" {
			return fmt.Errorf("the message %s is no event", m.MessageId)
		}
		if err := h.sync(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (h handler) sync(ctx context.Context, e stripe.Event) error {
	tenantID, err := h.store.TenantOfCustomer(ctx, e.Customer)
	if errors.Is(err, table.ErrNotFound) { // of something else that the account sells
		slog.InfoContext(ctx, "an event of a customer who is no tenant's", "event", e.ID, "customer", e.Customer)
		return nil
	}
	if err != nil {
		return err
	}
	changed, err := h.keeper.Sync(ctx, tenantID, entitlement.Cause{Actor: actor, Event: e.ID, Detail: fmt.Sprintf("%s, %s", e.Type, e.ID)})
	if err != nil {
		return fmt.Errorf("%s: %w", e.ID, err)
	}
	slog.InfoContext(ctx, "synced", "event", e.ID, "tenant", tenantID, "changed", changed)
	return nil
}
