package main

import (
	"context"
	"net/http"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/table"
)

type store interface {
	DeleteSecret(ctx context.Context, tenantID, name string, by table.By) error
}

type handler struct {
	store store
	clock clock.Clock
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	if err := h.store.DeleteSecret(ctx, r.Caller.Tenant, r.Path, r.By(h.clock.Now(), "secret.delete", r.Path)); err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusNoContent}, nil
}
