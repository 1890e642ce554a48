package main

import (
	"context"
	"log/slog"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	settlement.ClosingStore
	ChangeTenant(ctx context.Context, tenantID string, by table.By, rule func(tenant.Tenant) (tenant.Tenant, error)) (tenant.Tenant, error)
}

// teller has the tenant's customer at Stripe looked at.
type teller interface {
	Tell(ctx context.Context, tenantID string, by table.By)
}

type handler struct {
	store  store
	teller teller
	clock  clock.Clock
}

// spare is what of the request's time is not spent on runs: the operator waits for
// some ten seconds at most.
const spare = 18 * time.Second

// handle closes a tenant: from that instant its keys write nothing, and nothing of
// it starts. Then it has ended what the tenant pays for, and ends its runs; those that it does not reach in time, or that an
// error keeps it from, tenant/remove ends within minutes.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	now := h.clock.Now()
	by := r.By(now, "tenant.close", r.Path)
	closed, err := h.store.ChangeTenant(ctx, r.Path, by, func(t tenant.Tenant) (tenant.Tenant, error) { return t.Close(now), nil })
	if err != nil {
		return api.Response{}, err
	}
	h.teller.Tell(ctx, closed.ID, by)
	err = settlement.Closing{Store: h.store, Clock: h.clock}.End(ctx, closed.ID, spare, func(runID string) table.By {
		by := r.By(h.clock.Now(), "run.cancel", runID)
		by.Audit.Detail = settlement.WithTenant
		return by
	})
	if err != nil {
		slog.ErrorContext(ctx, "end the runs of a closed tenant", "request", r.ID, "tenant", closed.ID, "error", err)
	}
	view, err := api.ViewTenant(closed)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(view), nil
}
