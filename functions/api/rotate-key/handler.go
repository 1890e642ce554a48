package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
)

type store interface {
	RotateKey(ctx context.Context, tenantID, keyID string, next func(old table.Key) table.Key, until time.Time, by table.By) (old table.Key, err error)
}

type handler struct {
	store  store
	hasher *apikey.Hasher
	clock  clock.Clock
}

// overlap is how long the old key goes on where nothing is said.
const overlap = 24 * time.Hour

type rotated struct {
	api.NewKey
	Replaces api.Key `json:"replaces"`
}

// handle makes a key of the same name, scopes and kind; the old one expires
// after the overlap.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct {
		OverlapSeconds *int `json:"overlap_seconds"`
	}
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	now, lasting := h.clock.Now(), overlap
	if in.OverlapSeconds != nil {
		lasting = time.Duration(*in.OverlapSeconds) * time.Second
	}
	var (
		secret string
		next   table.Key
		failed error
	)
	old, err := h.store.RotateKey(ctx, r.Caller.Tenant, r.Path, func(old table.Key) table.Key {
		if secret, failed = apikey.New(apikey.ModeOf(old.Display)); failed == nil {
			next = table.Key{ID: id.New(id.Key, now), Hash: h.hasher.Hash(secret), Display: apikey.Display(secret), State: table.KeyActive, CreatedAt: now}
		}
		return next
	}, now.Add(lasting), r.By(now, "key.rotate", r.Path))
	if err = errors.Join(failed, err); err != nil {
		return api.Response{}, err
	}
	next.Name, next.Scopes = old.Name, old.Scopes
	return api.Response{Status: http.StatusCreated, Body: rotated{api.NewKey{Key: api.ViewKey(next, now), Secret: secret}, api.ViewKey(old, now)}}, nil
}
