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
	CreateTenant(ctx context.Context, tn tenant.Tenant, first table.Key, by table.By) error
}

type handler struct {
	store  store
	hasher *apikey.Hasher
	clock  clock.Clock
}

// created is the tenant with its key, which is shown here and nowhere again.
type created struct {
	api.Tenant
	APIKey string `json:"api_key"`
}

// firstPlan is what a tenant has of whom nothing else was said.
const firstPlan = "free"

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		Name, Email, Plan string
		Limits            tenant.Overrides
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	now := h.clock.Now()
	tn := tenant.Tenant{ID: id.New(id.Tenant, now), Name: in.Name, Email: in.Email, CreatedAt: now, Entitlement: tenant.Entitlement{
		Plan: cmp.Or(in.Plan, firstPlan), Overrides: in.Limits, State: tenant.Active, Version: 1}}
	key, err := apikey.New(apikey.Live)
	if err != nil {
		return api.Response{}, err
	}
	first := table.Key{ID: id.New(id.Key, now), Hash: h.hasher.Hash(key), Name: "first", Display: apikey.Display(key),
		Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: now}
	if err := h.store.CreateTenant(ctx, tn, first, r.By(now, "tenant.create", tn.ID)); err != nil {
		return api.Response{}, err
	}
	view, err := api.ViewTenant(tn)
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusCreated, Header: map[string]string{"Location": "/v1/tenants/" + tn.ID}, Body: created{view, key}}, nil
}
