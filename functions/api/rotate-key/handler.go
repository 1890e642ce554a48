package main

import (
	"context"
	"net/http"
	"time"

	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/table"
)

type store interface {
	api.KeyAnswerer
	RotateKey(ctx context.Context, tenantID, keyID string, until time.Time, by table.By, next table.Successor) (old table.Key, err error)
}

type handler struct {
	store  store
	issuer *apikey.Issuer
	clock  clock.Clock
}

// overlap is how long the old key goes on where nothing is said.
const overlap = 24 * time.Hour

type rotated struct {
	api.NewKey
	Replaces api.Key `json:"replaces"`
}

// handle makes a key of the same name, scopes, kind and lifetime, if the caller's
// own key has these scopes; the old one expires after the overlap. A suspended
// tenant may: the new key does no more than the old one, which may have leaked.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	answer, err := h.rotate(ctx, r)
	first, err := r.EarlierKey(ctx, h.store, h.clock.Now(), err)
	if err != nil {
		return api.Response{}, err
	}
	if first != nil {
		if answer, answer.Secret, err = api.KeyOf[rotated](first, h.issuer); err != nil {
			return api.Response{}, err
		}
		return api.Response{Status: first.Status, Body: answer, Header: map[string]string{"Idempotent-Replayed": "true"}}, nil
	}
	return api.Response{Status: http.StatusCreated, Body: answer}, nil
}

func (h handler) rotate(ctx context.Context, r *api.Request) (answer rotated, err error) {
	var in struct {
		OverlapSeconds *int `json:"overlap_seconds"`
	}
	if err := r.Decode(&in); err != nil {
		return answer, err
	}
	now, lasting := h.clock.Now(), overlap
	if in.OverlapSeconds != nil {
		lasting = time.Duration(*in.OverlapSeconds) * time.Second
	}
	by := r.By(now, "key.rotate", r.Path)
	_, err = h.store.RotateKey(ctx, r.Caller.Tenant, r.Path, now.Add(lasting), by, func(old table.Key) (table.Key, *table.Idempotency, error) {
		for _, scope := range old.Scopes { // whoever sees the new key may do all that it may
			if !r.Caller.May(scope) {
				return table.Key{}, nil, problem.New(problem.InsufficientScope, "The key to rotate has the scope "+scope+", which this key does not have itself.")
			}
		}
		mode := apikey.ModeOf(old.Display)
		issued, err := h.issuer.New(mode)
		if err != nil {
			return table.Key{}, nil, err
		}
		next := table.Key{ID: id.New(id.Key, now), Hash: issued.Hash, Name: old.Name, Scopes: old.Scopes, Display: issued.Display, State: table.KeyActive, CreatedAt: now,
			ExpiresAt: old.Lasting(now)}
		answer = rotated{api.NewKey{Key: api.ViewKey(next, now)}, api.ViewKey(old, now)}
		once, err := r.OnceKey(http.StatusCreated, api.Kept[rotated]{Mode: mode, Nonce: issued.Nonce, Answer: answer})
		answer.Secret = issued.Text
		return next, once, err
	})
	return answer, err
}
