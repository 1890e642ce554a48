package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/tenant"
)

type store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
}

type handler struct{ store store }

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	t, err := h.store.Tenant(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	view, err := api.ViewTenant(t)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(view), nil
}
