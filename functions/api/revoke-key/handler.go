package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type store interface {
	RevokeKey(ctx context.Context, tenantID, keyID string, by table.By) (table.Key, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// handle ends a key, the caller's own as well: it writes nothing from now on,
// and reads nothing once the authorizer's answer about it is too old.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	now := h.clock.Now()
	k, err := h.store.RevokeKey(ctx, r.Caller.Tenant, r.Path, r.By(now, "key.revoke", r.Path))
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.ViewKey(k, now)), nil
}
