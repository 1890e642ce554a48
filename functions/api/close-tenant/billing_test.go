package main

import (
	"errors"
	"path"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/checkout"
	"outpost/shared/entitlement"
	"outpost/shared/eventqueue"
)

// A page that is open when the tenant is closed can be paid until the customer is
// looked at: that is asked for at once, and again by whoever closes it again.
func TestTheCustomerOfAClosedTenantIsLookedAtAtOnce(t *testing.T) {
	w := entitlementtest.New(t)
	page, err := w.Desk().Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro"}, w.ByKey)
	w.Must(err)
	queue := &entitlementtest.Queue{Err: errors.New("the queue is away")}
	route := apitest.Serve(t, "DELETE", "/v1/tenants/{id}", handler{w.Table, eventqueue.Teller{Store: w.Table, Queue: queue}, w.Clock}.handle)
	var got api.Tenant
	if route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got); got.State != "closed" {
		t.Errorf("%+v", got)
	}
	if listed, _, err := w.BilledTenants(t.Context(), "", 9); err != nil || len(listed) != 1 {
		t.Errorf("what was not told is not found: %v, %v", listed, err)
	}
	queue.Err = nil
	w.Clock.Advance(time.Second)
	route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
	b, err := w.Billing(t.Context(), w.Tenant)
	w.Must(err)
	if len(queue.Events) != 1 || queue.Events[0].Customer != b.Customer || queue.Events[0].ID == "" || queue.Events[0].Type != "tenant.close" {
		t.Fatalf("%+v", queue.Events)
	}
	w.Clock.Advance(time.Second)
	_, err = w.Keeper.Sync(t.Context(), w.Tenant, entitlement.Cause{Actor: "test", Event: queue.Events[0].ID})
	w.Must(err)
	if _, err := w.Fake.Checkout(path.Base(page), standin.GoodCard); err == nil {
		t.Error("the page can be paid")
	}
	w.Another("pro")
	if route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got); len(queue.Events) != 1 {
		t.Errorf("a tenant without a customer is looked at: %+v", queue.Events)
	}
}
