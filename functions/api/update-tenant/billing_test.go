package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/checkout"
	"outpost/shared/eventqueue"
	"outpost/shared/stripe"
)

// line keeps what is put into the queue. The real queue takes it in the tests of the
// whole stack.
type line struct {
	events []stripe.Event
	err    error
}

func (l *line) Send(_ context.Context, e stripe.Event) error {
	if l.err == nil {
		l.events = append(l.events, e)
	}
	return l.err
}

// Whose plan the operator takes is looked at, so that an open page closes; no other
// change is told, and none is lost when it cannot be told.
func TestTheCustomerOfATenantWhosePlanIsTakenIsLookedAt(t *testing.T) {
	w := entitlementtest.New(t)
	_, err := w.Desk().Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro"}, w.ByKey)
	w.Must(err)
	queue := &line{}
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
		if change(c.body); len(queue.events) != c.told {
			t.Errorf("%s: told %+v", c.body, queue.events)
		}
	}
	for _, e := range queue.events {
		if e.Customer != b.Customer || e.ID == "" || e.Type != "tenant.update" {
			t.Errorf("%+v", e)
		}
	}
	change(`{"plan_source":"stripe"}`)
	queue.err = errors.New("the queue is away")
	if got := change(`{"plan":"enterprise"}`); got.Plan != "enterprise" || got.Source != "operator" {
		t.Errorf("%+v", got)
	}
	if listed, _, err := w.BilledTenants(t.Context(), "", 9); err != nil || len(listed) != 1 {
		t.Errorf("what was not told is not found: %v, %v", listed, err)
	}
}
