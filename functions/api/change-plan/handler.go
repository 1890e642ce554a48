package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/checkout"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type desk interface {
	Change(ctx context.Context, tenantID, plan string, by checkout.By) (tn tenant.Tenant, now tenant.Billing, err error)
}

type handler struct {
	desk  desk
	clock clock.Clock
}

// handle needs no idempotency key: it is told which plan is wanted, not what is to
// be done.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		Plan string `json:"plan"`
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	tn, now, err := h.desk.Change(ctx, r.Caller.Tenant, in.Plan, func(action, target string) table.By { return r.By(h.clock.Now(), action, target) })
	if err != nil {
		return api.Response{}, checkout.Refusal(err)
	}
	return api.OK(api.ViewBilling(tn, now)), nil
}
