package main

import (
	"strings"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/problem"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (w *entitlementtest.World, ask func(body string) apitest.Answer) {
	w = entitlementtest.New(t)
	w.Caller.Scopes = tenant.Scopes
	route := apitest.Serve(t, "POST", "/v1/billing/plan", handler{w.Desk(), w.Clock}.handle)
	return w, func(body string) apitest.Answer {
		w.Clock.Advance(time.Second)
		return route.As(w.Caller, apitest.Request{Body: body})
	}
}

// Each answer is of a wish made twice.
func TestTheAnswerTellsWhatThePlanIsAndBecomes(t *testing.T) {
	w, ask := newWorld(t)
	w.Pays("pro")
	w.Sync("")
	for _, c := range []struct{ wants, plan, next, sentence string }{
		{"enterprise", "enterprise", "", "The enterprise plan renews"},
		{"pro", "enterprise", "pro", "The enterprise plan becomes the pro plan"},
		{"free", "enterprise", "free", "The enterprise plan is canceled and ends"},
		{"enterprise", "enterprise", "", "The enterprise plan renews"},
	} {
		for range 2 {
			var v api.Billing
			ask(`{"plan": "`+c.wants+`"}`).Into(t, 200, &v)
			if v.Plan != c.plan || (v.Change == nil) != (c.next == "") || (v.Change != nil && v.Change.Plan != c.next) || !strings.Contains(v.Sentence, c.sentence) || w.Plan() != c.plan {
				t.Errorf("%s: %+v", c.wants, v)
			}
		}
	}
	trail, err := w.AuditTrail(t.Context(), w.Tenant, 100)
	w.Must(err)
	asked := 0
	for _, e := range trail {
		if e.Action == "billing.plan" && e.Actor == w.Caller.KeyID && e.Target != "" {
			asked++
		}
	}
	if asked != 8 {
		t.Errorf("the trail has %d of 8", asked)
	}
}

func TestAnUpgradeThatIsNotPaidIsAnAnswer(t *testing.T) {
	w, ask := newWorld(t)
	customer := w.Pays("pro")
	w.Sync("")
	w.Must(w.Fake.SetCard(customer, standin.FailingCard))
	var v api.Billing
	ask(`{"plan": "enterprise"}`).Into(t, 200, &v)
	if v.Plan != "pro" || v.Change == nil || v.Change.Plan != "enterprise" || v.Change.When != "paid" || !strings.Contains(v.Sentence, "billing portal until") {
		t.Errorf("%+v", v)
	}
}

func TestAChangeThatIsRefusedSaysWhy(t *testing.T) {
	w, ask := newWorld(t)
	for body, field := range map[string]string{`{}`: "/plan", `{"plan": "gold"}`: "/plan", `{"plan": "pro", "at": "now"}`: "/at"} {
		ask(body).Refused(t, problem.ValidationFailed, field)
	}
	ask(`{"plan": "pro"}`).Refused(t, problem.NotSubscribed, "")
	customer := w.Pays("pro")
	w.Sync("")
	w.Fake.Fail(standin.Fault{Times: -1, Status: 429})
	ask(`{"plan": "enterprise"}`).Refused(t, problem.BillingUnavailable, "")
	w.Fake.Heal()
	suspended, active := tenant.Suspended, tenant.Active
	w.Change(tenant.Change{State: &suspended})
	ask(`{"plan": "enterprise"}`).Refused(t, problem.TenantInactive, "")
	var v api.Billing
	ask(`{"plan": "free"}`).Into(t, 200, &v) // who is suspended may end what it pays for
	if v.Change == nil || v.Change.Plan != "free" {
		t.Errorf("%+v", v)
	}
	w.Change(tenant.Change{State: &active})
	ask(`{"plan": "pro"}`).Into(t, 200, &v)
	w.Must(w.Fake.SetCard(customer, standin.FailingCard))
	w.Clock.Advance(30*24*time.Hour + 2*time.Hour)
	w.Fake.Tick()
	ask(`{"plan": "enterprise"}`).Refused(t, problem.PaymentMissing, "")
	w.Revoke(w.Caller)
	ask(`{"plan": "free"}`).Refused(t, problem.Unauthorized, "")
	w.Another("enterprise")
	w.Caller.Scopes = tenant.Scopes
	ask(`{"plan": "pro"}`).Refused(t, problem.OperatorsPlan, "")
}
