package main

import (
	"cmp"
	"context"
	"net/http"

	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	api.Answerer
	CreateTenant(ctx context.Context, tn tenant.Tenant, first table.Key, by table.By) error
}

type handler struct {
	store  store
	issuer *apikey.Issuer
	clock  clock.Clock
}

// created is the tenant with its key, which is shown here and nowhere again.
type created struct {
	api.Tenant
	APIKey string `json:"api_key"`
}

// firstPlan is what a tenant has of whom nothing else was said.
const firstPlan = "free"

// handle makes the tenant with a key that may do everything.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	answer, err := h.create(ctx, r)
	first, err := r.Earlier(ctx, h.store, err)
	if err != nil {
		return api.Response{}, err
	}
	header := map[string]string{}
	if first != nil {
		if answer, answer.APIKey, err = api.KeyOf[created](first, h.issuer); err != nil {
			return api.Response{}, err
		}
		header["Idempotent-Replayed"] = "true"
	}
	header["Location"] = "/v1/tenants/" + answer.ID
	return api.Response{Status: http.StatusCreated, Header: header, Body: answer}, nil
}

func (h handler) create(ctx context.Context, r *api.Request) (answer created, err error) {
	var in struct {
		Name, Email, Plan string
		Limits            tenant.Overrides
	}
	if err := r.Decode(&in); err != nil {
		return answer, err
	}
	now := h.clock.Now()
	tn := tenant.Tenant{ID: id.New(id.Tenant, now), Name: in.Name, Email: in.Email, CreatedAt: now, PlanSource: tenant.ByOperator,
		Entitlement: tenant.Entitlement{Plan: cmp.Or(in.Plan, firstPlan), Overrides: in.Limits, State: tenant.Active, Version: 1}}
	issued, err := h.issuer.New(apikey.Live)
	if err != nil {
		return answer, err
	}
	key := table.Key{ID: id.New(id.Key, now), Hash: issued.Hash, Name: "first", Display: issued.Display, Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: now}
	if answer.Tenant, err = api.ViewTenant(tn); err != nil {
		return answer, err
	}
	by := r.By(now, "tenant.create", tn.ID)
	if by.Idempotency, err = r.Once(http.StatusCreated, api.Kept[created]{Mode: apikey.Live, Nonce: issued.Nonce, Answer: answer}); err != nil {
		return answer, err
	}
	err = h.store.CreateTenant(ctx, tn, key, by)
	answer.APIKey = issued.Text
	return answer, err
}
