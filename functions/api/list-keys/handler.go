package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type store interface {
	Keys(ctx context.Context, tenantID, after string, limit int) (keys []table.Key, next string, err error)
}

type handler struct {
	store   store
	cursors api.Cursors
	clock   clock.Clock
}

// handle lists the tenant's keys, newest first.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	limit, err := r.Limit()
	if err != nil {
		return api.Response{}, err
	}
	after, err := h.cursors.Place(r)
	if err != nil {
		return api.Response{}, err
	}
	keys, next, err := h.store.Keys(ctx, r.Caller.Tenant, after, limit)
	if err != nil {
		return api.Response{}, err
	}
	page, now := api.Page[api.Key]{Data: []api.Key{}}, h.clock.Now()
	for _, k := range keys {
		page.Data = append(page.Data, api.ViewKey(k, now))
	}
	if next != "" {
		page.NextCursor, page.HasMore = h.cursors.Next(r, next), true
	}
	return api.OK(page), nil
}
