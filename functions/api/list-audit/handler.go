package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/audit"
	"outpost/shared/table"
)

type store interface {
	AuditEvents(ctx context.Context, tenantID string, r table.AuditRange, limit int) (events []audit.Event, next string, err error)
}

type handler struct {
	store   store
	cursors api.Cursors
}

// handle lists the tenant's events, newest first. Each filter is a range of keys,
// so that a page reads no event that it does not show.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	limit, err := r.Limit()
	if err != nil {
		return api.Response{}, err
	}
	part := table.AuditRange{Action: r.Query["action"]}
	if part.Since, err = r.Time("since"); err != nil {
		return api.Response{}, err
	}
	if part.Until, err = r.Time("until"); err != nil {
		return api.Response{}, err
	}
	if part.After, err = h.cursors.Place(r); err != nil {
		return api.Response{}, err
	}
	events, next, err := h.store.AuditEvents(ctx, r.Caller.Tenant, part, limit)
	if err != nil {
		return api.Response{}, err
	}
	page := api.Page[audit.Event]{Data: append([]audit.Event{}, events...)}
	if next != "" {
		page.NextCursor, page.HasMore = h.cursors.Next(r, next), true
	}
	return api.OK(page), nil
}
