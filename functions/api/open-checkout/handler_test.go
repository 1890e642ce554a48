package main

import (
	"strings"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api/apitest"
	"outpost/shared/problem"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*entitlementtest.World, *apitest.Route) {
	w := entitlementtest.New(t)
	w.Caller.Scopes = tenant.Scopes
	return w, apitest.Serve(t, "POST", "/v1/billing/checkout", handler{w.Desk(), w.Clock}.handle)
}

const wish = `{"plan": "pro", "success_url": "` + entitlementtest.App + `/done", "cancel_url": "` + entitlementtest.App + `/"}`

func TestThePageIsTheSameForTheSameWish(t *testing.T) {
	w, route := newWorld(t)
	var first, again, other page
	for at, body := range map[*page]string{&first: wish, &again: strings.ReplaceAll(wish, " ", "")} {
		w.Clock.Advance(time.Second)
		route.As(w.Caller, apitest.Request{Body: body}).Into(t, 200, at)
	}
	w.Clock.Advance(time.Second)
	route.As(w.Caller, apitest.Request{Body: `{"plan": "enterprise"}`}).Into(t, 200, &other)
	if first.URL == "" || first != again || first == other || len(w.Fake.Customers()) != 1 {
		t.Errorf("%s, %s, %s, %d customers", first.URL, again.URL, other.URL, len(w.Fake.Customers()))
	}
	trail, err := w.AuditTrail(t.Context(), w.Tenant, 100)
	w.Must(err)
	asked := 0
	for _, e := range trail {
		if e.Action == "billing.checkout" && e.Actor == w.Caller.KeyID && e.Address != "" {
			asked++
		}
	}
	if asked != 3 {
		t.Errorf("the trail has %d of 3: %+v", asked, trail)
	}
}

func TestACheckoutThatIsRefusedSaysWhy(t *testing.T) {
	w, route := newWorld(t)
	ask := func(body string) apitest.Answer {
		w.Clock.Advance(time.Second)
		return route.As(w.Caller, apitest.Request{Body: body})
	}
	for body, field := range map[string]string{`{}`: "/plan", `{"plan": "free"}`: "/plan", `{"plan": 1}`: "/plan", `{"plan": "pro", "price": "price_1"}`: "/price", `{"plan": "pro", "success_url": ""}`: "/success_url",
		`{"plan": "pro", "success_url": "https://app.example.com.evil.com/"}`: "/success_url", `{"plan": "pro", "cancel_url": "//evil.com"}`: "/cancel_url"} {
		ask(body).Refused(t, problem.ValidationFailed, field)
	}
	w.Fake.Fail(standin.Fault{Times: -1, Status: 500})
	down := ask(wish)
	down.Refused(t, problem.BillingUnavailable, "")
	if down.Status != 503 || down.Header["Retry-After"] != "10" || !strings.Contains(string(down.Body), `"retryable":true`) {
		t.Errorf("%d %v %s", down.Status, down.Header, down.Body)
	}
	w.Fake.Heal()
	customer := w.Pays("pro")
	w.Sync("")
	ask(wish).Refused(t, problem.AlreadySubscribed, "")
	suspended, active, enterprise := tenant.Suspended, tenant.Active, "enterprise"
	w.Change(tenant.Change{State: &suspended})
	ask(wish).Refused(t, problem.TenantInactive, "")
	w.EndAll(customer)
	w.Sync("")
	w.Change(tenant.Change{State: &active, Plan: &enterprise})
	ask(wish).Refused(t, problem.OperatorsPlan, "")
	w.Revoke(w.Caller)
	ask(wish).Refused(t, problem.OperatorsPlan, "")
	w.Another("free")
	w.Caller.Scopes = tenant.Scopes
	w.Revoke(w.Caller)
	ask(wish).Refused(t, problem.Unauthorized, "")
	closed := w.Desk()
	closed.Stripe = nil
	none := apitest.Serve(t, "POST", "/v1/billing/checkout", handler{closed, w.Clock}.handle)
	none.As(w.Caller, apitest.Request{Body: wish}).Refused(t, problem.BillingUnavailable, "")
}
