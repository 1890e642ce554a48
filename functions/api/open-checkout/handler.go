package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/checkout"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type desk interface {
	Open(ctx context.Context, tenantID string, w checkout.Wish, by checkout.By) (url string, err error)
}

type handler struct {
	desk  desk
	clock clock.Clock
}

// page is a page of Stripe's.
type page struct {
	URL string `json:"url"`
}

// handle needs no idempotency key: the same wish gets the same page.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		Plan       string `json:"plan"`
		SuccessURL string `json:"success_url"`
		CancelURL  string `json:"cancel_url"`
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	url, err := h.desk.Open(ctx, r.Caller.Tenant, checkout.Wish{Plan: in.Plan, SuccessURL: in.SuccessURL, CancelURL: in.CancelURL},
		func(action, target string) table.By { return r.By(h.clock.Now(), action, target) })
	if err != nil {
		return api.Response{}, checkout.Refusal(err)
	}
	return api.OK(page{url}), nil
}
