package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/secret"
	"outpost/shared/table"
)

type vault interface {
	Put(ctx context.Context, tenantID, name, value, host string, by table.By) error
}

type handler struct {
	vault vault
	clock clock.Clock
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct{ Value, Host string }
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	switch isToken := r.Path == secret.GitToken; {
	case isToken && in.Host == "":
		return api.Response{}, api.Invalid(problem.Field{Field: "/host", Message: "must name the host that the token is for"})
	case !isToken && in.Host != "":
		return api.Response{}, api.Invalid(problem.Field{Field: "/host", Message: "is for " + secret.GitToken + " alone"})
	}
	err := h.vault.Put(ctx, r.Caller.Tenant, r.Path, in.Value, in.Host, r.By(h.clock.Now(), "secret.put", r.Path))
	switch {
	case errors.Is(err, secret.ErrFull):
		return api.Response{}, api.Invalid(problem.Field{Field: "/value", Message: "does not fit: this and the tenant's other secrets, with the version before of each, are too large together"})
	case errors.Is(err, secret.ErrTooOften):
		p := problem.New(problem.RateLimited, "The tenant's secrets were changed too often; try again later.").Because(err)
		p.RetryAfter = time.Hour
		return api.Response{}, p
	case err != nil:
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusNoContent}, nil
}
