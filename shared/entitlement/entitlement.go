// Package entitlement keeps what a tenant may do equal to what Stripe's latest
// objects say. Whoever learns that something may have changed (a webhook's
// consumer, the reconciler, a tenant back from Checkout) calls Sync, which looks
// at the customer itself: no message is believed for what it says, so that none
// can come too late, too often or in the wrong order.
//
// A look is older or newer by the time at which it began. The table takes only a
// newer one; who lost that race looks again, so that of any two looks at least the
// one that began last is kept.
package entitlement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"outpost/shared/audit"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// Stripe is what a look needs of it.
type Stripe interface {
	Account(ctx context.Context, customer string) (billing.Account, error)
	// ClosePages closes the pages of Checkout that the customer could still pay.
	ClosePages(ctx context.Context, customer string) error
	// Quit ends all that the customer pays for, or could pay for, and returns what is
	// left.
	Quit(ctx context.Context, customer string) (billing.Account, error)
}

// Store keeps tenants and their standing.
type Store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
	EventActed(ctx context.Context, event string) (bool, error)
	Entitle(ctx context.Context, tenantID string, look table.Look, by table.By) (was, now tenant.Tenant, err error)
}

// Waker makes the scheduler look at a tenant.
type Waker interface {
	Wake(ctx context.Context, tenant string) error
}

// Keeper syncs tenants. It is safe for concurrent use.
type Keeper struct {
	Stripe Stripe
	Store  Store
	Waker  Waker
	Prices billing.Prices
	Clock  clock.Clock
}

// Cause is why a tenant is synced, as the audit trail tells it.
type Cause struct {
	Actor  string // who does it, as stripe/sync
	Event  string // id of Stripe's event; empty for none
	Detail string
}

// ErrUndecided means that no plan follows from what Stripe has of a tenant, as
// from a price that the table lacks: the tenant keeps the plan that it has. It is
// that tenant's matter alone, and nothing that waiting mends.
var ErrUndecided = errors.New("no plan follows from what Stripe has")

// looks is how often one call of Sync looks: each look after the first means that
// another came first, or that the look itself changed something.
const looks = 5

// Sync makes a tenant's entitlement what Stripe says. It changes nothing for one
// whose rows are gone or going, and for an event that has acted. Of a tenant about whose plan
// the operator decides it closes the pages and records how it stands, so that both
// sides read of a subscription that goes on beside the plan; the plan stays.
// Subscriptions of a closed tenant are ended, and its pages closed. An error means that the entitlement
// is as it was, or that table.ErrStale was the answer to every look: try later.
func (k Keeper) Sync(ctx context.Context, tenantID string, cause Cause) (changed bool, err error) {
	for range looks {
		changed, err = k.look(ctx, tenantID, cause)
		if !errors.Is(err, table.ErrStale) {
			break
		}
	}
	if err != nil {
		return false, fmt.Errorf("sync %s with Stripe: %w", tenantID, err)
	}
	return changed, nil
}

func (k Keeper) look(ctx context.Context, tenantID string, cause Cause) (changed bool, err error) {
	if cause.Event != "" {
		if acted, err := k.Store.EventActed(ctx, cause.Event); err != nil || acted {
			return false, err
		}
	}
	began := k.Clock.Now().UTC()
	tn, err := k.Store.Tenant(ctx, tenantID)
	if errors.Is(err, table.ErrNotFound) {
		return false, nil
	}
	if err != nil || !tn.RemovingAt.IsZero() {
		return false, err
	}
	known, err := k.Store.Billing(ctx, tenantID)
	if err != nil {
		return false, err
	}
	var account billing.Account
	if known.Customer != "" {
		if account, err = k.account(ctx, known.Customer, tn); err != nil {
			return false, err
		}
	}
	standing, err := account.Stand(k.Prices, began)
	var unknown billing.Unknown
	if tn.PlanSource != tenant.ByStripe && errors.As(err, &unknown) { // as the operator may have agreed
		standing, err = billing.Standing{Plan: known.Standing.Plan, Sentence: string(unknown) + "."}, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	if known.Customer == "" && known.Deleted > 0 {
		standing = known.Standing // what was said of the one who was deleted still holds
	}
	by := table.By{Audit: audit.Event{ID: id.New(id.Audit, began), At: began, Action: "billing.sync", Actor: cause.Actor, Target: tenantID, Detail: cause.Detail}}
	was, now, err := k.Store.Entitle(ctx, tenantID, table.Look{Event: cause.Event, FetchedAt: began, Customer: known.Customer, Deleted: account.Deleted, Standing: standing}, by)
	if errors.Is(err, table.ErrExists) {
		return false, nil
	}
	if err != nil || was == now {
		return false, err
	}
	// What waited under the old limits may start under the new ones.
	if err := k.Waker.Wake(ctx, tenantID); err != nil {
		slog.ErrorContext(ctx, "wake the scheduler", "tenant", tenantID, "error", err)
	}
	return true, nil
}

// account looks at a customer. One whose tenant is closed pays no longer, and one
// whose plan is the operator's begins nothing: its pages are closed first, so that
// one that is paid meanwhile is seen.
func (k Keeper) account(ctx context.Context, customer string, tn tenant.Tenant) (billing.Account, error) {
	if tn.Entitlement.State == tenant.Closed {
		return k.Stripe.Quit(ctx, customer)
	}
	if tn.PlanSource != tenant.ByStripe {
		if err := k.Stripe.ClosePages(ctx, customer); err != nil {
			return billing.Account{}, err
		}
	}
	return k.Stripe.Account(ctx, customer)
}
