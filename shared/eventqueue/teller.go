package eventqueue

import (
	"context"
	"log/slog"

	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// Store knows the customers of tenants.
type Store interface {
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
}

// Teller has a tenant's customer looked at, soon and until it was, because the
// operator has changed the tenant.
type Teller struct {
	Store Store
	Queue interface {
		Send(ctx context.Context, e stripe.Event) error
	}
}

// Tell is called once a change is made, and never undoes it: what is not told the
// hourly comparison finds. A tenant without a customer has nothing to look at.
func (t Teller) Tell(ctx context.Context, tenantID string, by table.By) {
	known, err := t.Store.Billing(ctx, tenantID)
	if err == nil && known.Customer != "" {
		err = t.Queue.Send(ctx, stripe.Event{ID: by.Audit.ID, Type: by.Audit.Action, Customer: known.Customer})
	}
	if err != nil {
		slog.ErrorContext(ctx, "have a tenant's customer looked at", "tenant", tenantID, "error", err)
	}
}
