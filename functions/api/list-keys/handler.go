package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type store interface {
	Keys(ctx context.Context, tenantID string) ([]table.Key, error)
}

type handler struct {
	store store
	clock clock.Clock
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	keys, err := h.store.Keys(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	page, now := api.Page[api.Key]{Data: []api.Key{}}, h.clock.Now()
	for _, k := range keys {
		page.Data = append(page.Data, api.ViewKey(k, now))
	}
	return api.OK(page), nil
}
