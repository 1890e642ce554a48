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
	api.KeyAnswerer
	CreateKey(ctx context.Context, tenantID string, k table.Key, by table.By) error
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
}

type handler struct {
	store  store
	issuer *apikey.Issuer
	clock  clock.Clock
}

type submission struct {
	Name      string
	Scopes    []string
	ExpiresAt *time.Time `json:"expires_at"`
	Kind      apikey.Mode
}

// handle makes a key with scopes that the caller's own key has.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	answer, err := h.create(ctx, r)
	first, err := r.EarlierKey(ctx, h.store, h.clock.Now(), err)
	if err != nil {
		return api.Response{}, err
	}
	if first != nil {
		if answer, answer.Secret, err = api.KeyOf[api.NewKey](first, h.issuer); err != nil {
			return api.Response{}, err
		}
		return api.Response{Status: first.Status, Body: answer, Header: map[string]string{"Idempotent-Replayed": "true"}}, nil
	}
	return api.Response{Status: http.StatusCreated, Body: answer}, nil
}

// create makes the key. When the tenant's limits have changed since the authorizer
// saw them, the new ones count.
func (h handler) create(ctx context.Context, r *api.Request) (answer api.NewKey, err error) {
	var in submission
	if err := r.Decode(&in); err != nil {
		return answer, err
	}
	now := h.clock.Now()
	if err := in.check(r.Caller, now); err != nil {
		return answer, err
	}
	mode := cmp.Or(in.Kind, apikey.Live)
	issued, err := h.issuer.New(mode)
	if err != nil {
		return answer, err
	}
	slices.Sort(in.Scopes)
	k := table.Key{ID: id.New(id.Key, now), Hash: issued.Hash, Name: in.Name, Display: issued.Display, Scopes: slices.Compact(in.Scopes),
		Entitlement: r.Caller.Entitlement, State: table.KeyActive, CreatedAt: now}
	if in.ExpiresAt != nil {
		k.ExpiresAt = *in.ExpiresAt
	}
	answer = api.NewKey{Key: api.ViewKey(k, now)}
	by := r.By(now, "key.create", k.ID)
	if by.Idempotency, err = r.OnceKey(http.StatusCreated, api.Kept[api.NewKey]{Mode: mode, Nonce: issued.Nonce, Answer: answer}); err != nil {
		return answer, err
	}
	if err = h.store.CreateKey(ctx, r.Caller.Tenant, k, by); errors.Is(err, table.ErrLimitsChanged) {
		if k.Entitlement, err = h.current(ctx, r.Caller.Tenant); err == nil {
			err = h.store.CreateKey(ctx, r.Caller.Tenant, k, by)
		}
	}
	answer.Secret = issued.Text
	return answer, err
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
	if in.ExpiresAt != nil && in.ExpiresAt.After(apikey.Latest(now)) {
		return api.Invalid(problem.Field{Field: "/expires_at", Message: "must be at most ten years ahead"})
	}
	return nil
}

// current is what the tenant may do now.
func (h handler) current(ctx context.Context, tenantID string) (tenant.Entitlement, error) {
	tn, err := h.store.Tenant(ctx, tenantID)
	if err == nil && tn.Entitlement.State != tenant.Active {
		err = problem.New(problem.TenantInactive, "The tenant is not active; it makes no new keys.")
	}
	return tn.Entitlement, err
}
