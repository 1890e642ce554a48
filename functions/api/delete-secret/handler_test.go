package main

import (
	"errors"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w.Must(w.PutSecret(t.Context(), w.Tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: 1, Ciphertext: []byte{1}, SetAt: c.Now()},
		table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now(), Action: "secret.put"}}))
	return w, apitest.Serve(t, "DELETE", "/v1/secrets/{name}", handler{w.Table, c}.handle)
}

func TestAForgottenSecretIsGoneOnce(t *testing.T) {
	w, route := newWorld(t)
	a := route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"})
	a.Into(t, 204, nil)
	if _, err := w.Secret(t.Context(), w.Tenant, "OPENAI_API_KEY"); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("%v", err)
	}
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.NotFound, "")
	trail, err := w.AuditTrail(t.Context(), w.Tenant, 10)
	w.Must(err)
	deleted := 0
	for _, e := range trail {
		if e.Action == "secret.delete" && e.Target == "OPENAI_API_KEY" && e.RequestID == a.Header["X-Request-Id"] {
			deleted++
		}
	}
	if deleted != 1 {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestAStrangerForgetsNothing(t *testing.T) {
	w, route := newWorld(t)
	for _, name := range []string{"OPENAI_API_KEY", "GIT_TOKEN", "nonsense", "openai_api_key", ""} {
		route.As(w.Stranger("pro"), apitest.Request{ID: name}).Refused(t, problem.NotFound, "")
	}
	if _, err := w.Secret(t.Context(), w.Tenant, "OPENAI_API_KEY"); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

func TestARevokedKeyForgetsNothing(t *testing.T) {
	w, route := newWorld(t)
	w.Revoke(w.Caller)
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.Unauthorized, "")
	if _, err := w.Secret(t.Context(), w.Tenant, "OPENAI_API_KEY"); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}
