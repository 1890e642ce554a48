package main

import (
	"context"
	"log/slog"
	"time"

	"outpost/shared/api"
	"outpost/shared/audit"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

type store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
}

type asker interface {
	Ready(ctx context.Context) error
	Account(ctx context.Context, customer string) (billing.Account, error)
}

type handler struct {
	store  store
	stripe asker // nil where there is no billing
	prices billing.Prices
	clock  clock.Clock
}

// patience is how long Stripe is waited for; the table's word goes out after it.
const patience = 12 * time.Second

// handle shows both sides and changes nothing. That Stripe cannot be asked is a
// note, not a failure: who looks wants to know what there is.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	tn, err := h.store.Tenant(ctx, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	known, err := h.store.Billing(ctx, tn.ID)
	if err != nil {
		return api.Response{}, err
	}
	v := view(tn, known)
	now := h.clock.Now()
	account, why := h.ask(ctx, known.Customer)
	if why != "" {
		v.Note = &why
		return api.OK(v), nil
	}
	standing, err := account.Stand(h.prices, now)
	if known.Customer == "" && known.Deleted > 0 {
		standing = known.Standing // as a sync has it: what was said of the one who was deleted still holds
	}
	v.Stripe = viewAccount(known.Customer, account, standing, h.prices)
	if err != nil { // a price that no plan has, say
		v.Stripe.forget()
		v.note("%s.", err)
		return api.OK(v), nil
	}
	v.compare(tn, known, account, standing)
	return api.OK(v), nil
}

// ask returns what Stripe has of a customer, or in a sentence why it cannot say.
func (h handler) ask(ctx context.Context, customer string) (account billing.Account, why string) {
	if h.stripe == nil {
		return account, "This Outpost has no billing."
	}
	if customer == "" {
		return account, ""
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := h.stripe.Ready(ctx)
	if err == nil {
		account, err = h.stripe.Account(ctx, customer)
	}
	if err != nil {
		slog.WarnContext(ctx, "ask Stripe", "customer", customer, "error", err)
		return account, stripe.Reason(err)
	}
	return account, ""
}

// compare lists what a sync would change. Before the first look nothing is recorded
// of a subscription, and so nothing of it differs.
func (v *page) compare(tn tenant.Tenant, known tenant.Billing, account billing.Account, standing billing.Standing) {
	recorded, now := map[string]string{}, map[string]string{}
	if !known.FetchedAt.IsZero() {
		recorded, now = known.Standing.Facts(), standing.Facts()
	}
	recorded["customer"], now["customer"] = known.Customer, known.Customer
	if account.Deleted {
		now["customer"] = ""
	}
	if tn.Entitlement.State != tenant.Closed && tn.PlanSource == tenant.ByStripe { // else it keeps the plan that it has
		recorded["plan"], now["plan"] = tn.Entitlement.Plan, standing.Plan
	}
	for _, c := range audit.Diff(recorded, now) {
		v.Differences = append(v.Differences, difference{c.Field, c.Before, c.After})
	}
	switch {
	case tn.PlanSource != tenant.ByStripe && len(account.Living()) > 0:
		v.note("The operator decides about this tenant's plan, and a subscription is charged beside it: the tenant ends it in the billing portal, you in Stripe's dashboard; or hand the plan over with plan_source stripe.")
	case tn.PlanSource != tenant.ByStripe:
		v.note("The operator decides about this tenant's plan, and no sync changes it: hand it over with plan_source stripe.")
	case known.Customer == "":
		v.note("The tenant has no customer at Stripe.")
	case tn.Entitlement.State == tenant.Closed && len(account.Living()) > 0:
		v.note("The tenant is closed and still subscribed: a sync ends its subscriptions.")
	case known.FetchedAt.IsZero():
		v.note("Nobody has looked at Stripe for this tenant yet: a sync does.")
	}
}
