package main

import (
	"errors"
	"testing"
	"time"

	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/checkout"
	"outpost/shared/eventqueue"
)

// Whose plan the operator takes is looked at, so that an open page closes; no other
// change is told, and none is lost when it cannot be told.
func TestTheCustomerOfATenantWhosePlanIsTakenIsLookedAt(t *testing.T) {
	w := entitlementtest.New(t)
	_, err := w.Desk().Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro"}, w.ByKey)
	w.Must(err)
	queue := &entitlementtest.Queue{}
	route := apitest.Serve(t, "PATCH", "/v1/tenants/{id}", handler{w.Table, &bell{}, eventqueue.Teller{Store: w.Table, Queue: queue}, w.Clock}.handle)
	change := func(body string) (got api.Tenant) {
		t.Helper()
		w.Clock.Advance(time.Second)
		route.AsOperator(apitest.Request{ID: w.Tenant, Body: body}).Into(t, 200, &got)
		return got
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	w.Must(err)
	for _, c := range []struct {
		body string
		told int
	}{{`{"name":"A"}`, 0}, {`{"plan":"enterprise"}`, 1}, {`{"state":"suspended"}`, 1}, {`{"plan_source":"stripe"}`, 1}, {`{"plan_source":"operator"}`, 2}} {
		if change(c.body); len(queue.Events) != c.told {
			t.Errorf("%s: told %+v", c.body, queue.Events)
		}
	}
	for _, e := range queue.Events {
		if e.Customer != b.Customer || e.ID == "" || e.Type != "tenant.update" {
			t.Errorf("%+v", e)
		}
	}
	change(`{"plan_source":"stripe"}`)
	queue.Err = errors.New("the queue is away")
	if got := change(`{"plan":"enterprise"}`); got.Plan != "enterprise" || got.Source != "operator" {
		t.Errorf("%+v", got)
	}
	if listed, _, err := w.BilledTenants(t.Context(), "", 9); err != nil || len(listed) != 1 {
		t.Errorf("what was not told is not found: %v, %v", listed, err)
	}
}
