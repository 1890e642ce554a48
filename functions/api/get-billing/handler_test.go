package main

import (
	"strings"
	"testing"
	"time"

	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/tenant"
)

func TestBillingTellsWhyThePlanIsWhatItIs(t *testing.T) {
	w := entitlementtest.New(t)
	route := apitest.Serve(t, "GET", "/v1/billing", handler{w.Table}.handle)
	see := func() (v api.Billing) {
		t.Helper()
		w.Caller.Scopes = tenant.Scopes
		route.As(w.Caller, apitest.Request{}).Into(t, 200, &v)
		return v
	}
	if v := see(); v.Plan != "free" || v.Source != "operator" || v.Status != nil || v.CheckedAt != nil || !strings.Contains(v.Sentence, "a Checkout begins") {
		t.Errorf("at first: %+v", v)
	}
	customer := w.Pays("pro")
	if v := see(); v.Plan != "free" || v.Source != "stripe" || v.CheckedAt != nil || !strings.Contains(v.Sentence, "until a Checkout is paid") {
		t.Errorf("before the first look: %+v", v)
	}
	w.Sync("")
	if v := see(); v.Plan != "pro" || *v.Status != "active" || v.PeriodEnd == nil || v.GraceUntil != nil || v.Change != nil || v.CheckedAt == nil || !strings.Contains(v.Sentence, "The pro plan renews") {
		t.Errorf("paid: %+v", v)
	}
	w.Must(w.Stripe.Move(t.Context(), w.Fake.Subscriptions(customer)[0].ID, "leave", ""))
	w.Sync("")
	if v := see(); v.Change == nil || v.Change.Plan != "free" || v.Change.When != "period_end" || v.Change.At != *v.PeriodEnd || !strings.Contains(v.Sentence, "is canceled and ends") {
		t.Errorf("canceled: %+v", v)
	}
	enterprise := "enterprise"
	w.EndAll(customer)
	w.Sync("")
	w.Pays("pro") // and nobody has looked when the plan is taken over
	w.Change(tenant.Change{Plan: &enterprise})
	if v := see(); v.Plan != "enterprise" || v.Source != "operator" || v.Sentence != "Who runs this Outpost has given the enterprise plan." {
		t.Errorf("the operator's: %+v", v)
	}
	w.Sync("")
	if v := see(); v.Plan != "enterprise" || v.Source != "operator" || !strings.Contains(v.Sentence, "has given the enterprise plan. A subscription is charged beside it") {
		t.Errorf("the operator's, with a subscription: %+v", v)
	}
	w.Another("free")
	if v := see(); v.Status != nil || v.Plan != "free" {
		t.Errorf("a stranger sees %+v", v)
	}
}

func TestAMissingPaymentTellsUntilWhenThePlanStays(t *testing.T) {
	w := entitlementtest.New(t)
	route := apitest.Serve(t, "GET", "/v1/billing", handler{w.Table}.handle)
	customer := w.Pays("pro")
	w.Must(w.Fake.SetCard(customer, "pm_card_chargeCustomerFail"))
	w.Clock.Advance(30*24*time.Hour + 2*time.Hour)
	w.Fake.Tick()
	w.Sync("")
	w.Caller.Scopes = tenant.Scopes
	var v api.Billing
	route.As(w.Caller, apitest.Request{}).Into(t, 200, &v)
	if v.Plan != "pro" || *v.Status != "past_due" || v.GraceUntil == nil || !strings.Contains(v.Sentence, "A payment failed: the pro plan stays until 30 December 2026") {
		t.Errorf("%+v", v)
	}
}
