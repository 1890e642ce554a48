package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	CreateKey(ctx context.Context, tenantID string, k table.Key, by table.By) error
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
}

type handler struct {
	store  store
	hasher *apikey.Hasher
	clock  clock.Clock
}

type submission struct {
	Name      string
	Scopes    []string
	ExpiresAt *time.Time `json:"expires_at"`
	Kind      apikey.Mode
}

// handle makes a key with scopes that the caller's own key has. When the
// tenant's limits have changed since the authorizer saw them, the new ones count.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in submission
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	now := h.clock.Now()
	if err := in.check(r.Caller, now); err != nil {
		return api.Response{}, err
	}
	secret, err := apikey.New(cmp.Or(in.Kind, apikey.Live))
	if err != nil {
		return api.Response{}, err
	}
	slices.Sort(in.Scopes)
	k := table.Key{ID: id.New(id.Key, now), Hash: h.hasher.Hash(secret), Name: in.Name, Display: apikey.Display(secret), Scopes: slices.Compact(in.Scopes),
		Entitlement: r.Caller.Entitlement, State: table.KeyActive, CreatedAt: now}
	if in.ExpiresAt != nil {
		k.ExpiresAt = *in.ExpiresAt
	}
	by := r.By(now, "key.create", k.ID)
	if err = h.store.CreateKey(ctx, r.Caller.Tenant, k, by); errors.Is(err, table.ErrLimitsChanged) {
		if k.Entitlement, err = h.current(ctx, r.Caller.Tenant); err == nil {
			err = h.store.CreateKey(ctx, r.Caller.Tenant, k, by)
		}
	}
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusCreated, Body: api.NewKey{Key: api.ViewKey(k, now), Secret: secret}}, nil
}

// check looks at what the contract cannot.
func (in submission) check(c tenant.Caller, now time.Time) error {
	for i, s := range in.Scopes {
		if !c.May(s) {
			return api.Invalid(problem.Field{Field: fmt.Sprintf("/scopes/%d", i), Message: "is a scope that this key does not have itself"})
		}
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.After(now) {
		return api.Invalid(problem.Field{Field: "/expires_at", Message: "must be in the future"})
	}
	return nil
}

// current is what the tenant may do now.
func (h handler) current(ctx context.Context, tenantID string) (tenant.Entitlement, error) {
	tn, err := h.store.Tenant(ctx, tenantID)
	if err == nil && tn.Entitlement.State != tenant.Active {
		err = problem.New(problem.TenantInactive, "The account is not active; it makes no new keys.")
	}
	return tn.Entitlement, err
}
