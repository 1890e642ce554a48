package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	ChangeTenant(ctx context.Context, tenantID string, by table.By, rule func(tenant.Tenant) (tenant.Tenant, error)) (tenant.Tenant, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// handle closes a tenant: from now on its keys open nothing, and nothing of it
// starts. What runs ends normally.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	now := h.clock.Now()
	closed, err := h.store.ChangeTenant(ctx, r.Path, r.By(now, "tenant.close", r.Path), func(t tenant.Tenant) (tenant.Tenant, error) { return t.Close(now), nil })
	if err != nil {
		return api.Response{}, err
	}
	view, err := api.ViewTenant(closed)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(view), nil
}
