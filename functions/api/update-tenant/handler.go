package main

import (
	"context"
	"errors"
	"log/slog"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	ChangeTenant(ctx context.Context, tenantID string, by table.By, rule func(tenant.Tenant) (tenant.Tenant, error)) (tenant.Tenant, error)
}

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

// teller has the tenant's customer at Stripe looked at.
type teller interface {
	Tell(ctx context.Context, tenantID string, by table.By)
}

type handler struct {
	store  store
	waker  waker
	teller teller
	clock  clock.Clock
}

// handle changes what the body names, and leaves the rest as it is at that moment,
// single overrides too: nobody's change is undone unseen. What waits under the old limits may start
// under the new ones, so the scheduler is woken; a lost wakeup is made good by
// the reaper. Where the operator has taken the plan the tenant's pages of Checkout
// are to be closed: whoever paid one would pay for nothing.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		Name, Email, Plan *string
		Limits            tenant.OverridesChange
		State             *tenant.State
		PlanSource        *tenant.PlanSource `json:"plan_source"`
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	change := tenant.Change{Name: in.Name, Email: in.Email, Plan: in.Plan, PlanSource: in.PlanSource, Limits: in.Limits, State: in.State}
	by := r.By(h.clock.Now(), "tenant.update", r.Path)
	changed, err := h.store.ChangeTenant(ctx, r.Path, by, func(t tenant.Tenant) (tenant.Tenant, error) { return t.Apply(change) })
	if errors.Is(err, tenant.ErrClosed) {
		return api.Response{}, problem.New(problem.TenantClosed, "A closed tenant stays closed.").Because(err)
	}
	if errors.Is(err, tenant.ErrSubscribed) {
		return api.Response{}, problem.New(problem.StillSubscribed, stillSubscribed).Because(err)
	}
	if err != nil {
		return api.Response{}, err
	}
	if err := h.waker.Wake(ctx, changed.ID); err != nil {
		slog.ErrorContext(ctx, "wake the scheduler", "tenant", changed.ID, "error", err)
	}
	if (in.Plan != nil || in.PlanSource != nil) && changed.PlanSource != tenant.ByStripe {
		h.teller.Tell(ctx, changed.ID, by)
	}
	view, err := api.ViewTenant(changed)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(view), nil
}

// stillSubscribed tells the operator who would take over a plan what to do first.
const stillSubscribed = "The tenant has a subscription, which would go on costing and decide nothing. Have it ended first: by the tenant (outpost billing plan free, which ends it with its period), " +
	"or at Stripe; once it has ended, POST /v1/tenants/{id}/billing/sync sees it at once. To give the tenant more meanwhile, change its limits."
