package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/checkout"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type desk interface {
	Portal(ctx context.Context, tenantID, returnURL string, by checkout.By) (url string, err error)
}

type handler struct {
	desk  desk
	clock clock.Clock
}

// page is a page of Stripe's.
type page struct {
	URL string `json:"url"`
}

// handle opens the portal. Opening it twice is two doors to the same room.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		ReturnURL string `json:"return_url"`
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	url, err := h.desk.Portal(ctx, r.Caller.Tenant, in.ReturnURL, func(action, target string) table.By { return r.By(h.clock.Now(), action, target) })
	if err != nil {
		return api.Response{}, checkout.Refusal(err)
	}
	return api.OK(page{url}), nil
}
