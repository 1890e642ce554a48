package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/tenant"
)

type store interface {
	Tenants(ctx context.Context, after string, limit int) (tenants []tenant.Tenant, next string, err error)
}

type handler struct {
	store   store
	cursors api.Cursors
}

// handle lists the tenants, oldest first. The cursor is the last one shown.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	limit, err := r.Limit()
	if err != nil {
		return api.Response{}, err
	}
	after, err := h.cursors.Place(r)
	if err != nil {
		return api.Response{}, err
	}
	tenants, next, err := h.store.Tenants(ctx, after, limit)
	if err != nil {
		return api.Response{}, err
	}
	page := api.Page[api.Tenant]{Data: []api.Tenant{}}
	for _, t := range tenants {
		v, err := api.ViewTenant(t)
		if err != nil {
			return api.Response{}, err
		}
		page.Data = append(page.Data, v)
	}
	if next != "" {
		page.NextCursor, page.HasMore = h.cursors.Next(r, next), true
	}
	return api.OK(page), nil
}
