package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/tenant"
)

type store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
}

type handler struct{ store store }

// handle reads what the latest look at Stripe found. It asks Stripe nothing, so
// that it answers while Stripe does not, and where there is no billing.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	tn, err := h.store.Tenant(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	b, err := h.store.Billing(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.ViewBilling(tn, b)), nil
}
