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

func TestThePortalOpensForWhoPays(t *testing.T) {
	w := entitlementtest.New(t)
	w.Caller.Scopes = tenant.Scopes
	w.Must(w.Stripe.SetUpPortal(t.Context(), entitlementtest.App))
	route := apitest.Serve(t, "POST", "/v1/billing/portal", handler{w.Desk(), w.Clock}.handle)
	ask := func(body string) apitest.Answer {
		w.Clock.Advance(time.Second)
		return route.As(w.Caller, apitest.Request{Body: body})
	}
	ask("").Refused(t, problem.NotSubscribed, "")
	customer := w.Pays("pro")
	suspended, enterprise := tenant.Suspended, "enterprise"
	opens := func(why string) {
		t.Helper()
		for _, body := range []string{"", "{}", `{"return_url": "` + entitlementtest.App + `/billing"}`} {
			var v page
			ask(body).Into(t, 200, &v)
			if !strings.HasPrefix(v.URL, w.URL+"/portal/") {
				t.Errorf("%s, %s: %s", why, body, v.URL)
			}
		}
	}
	opens("one who pays")
	w.Change(tenant.Change{State: &suspended})
	opens("one who is suspended")
	w.Change(tenant.Change{Plan: &enterprise})
	opens("one whose plan the operator gives now")
	ask(`{"return_url": "https://app.example.com@evil.com"}`).Refused(t, problem.ValidationFailed, "/return_url")
	ask(`{"return": "https://app.example.com"}`).Refused(t, problem.ValidationFailed, "/return")
	w.Fake.Fail(standin.Fault{Times: -1, Down: true})
	ask("").Refused(t, problem.BillingUnavailable, "")
	w.Fake.Heal()
	w.Deletes(customer)
	ask("").Refused(t, problem.NotSubscribed, "")
	w.Revoke(w.Caller)
	ask("").Refused(t, problem.Unauthorized, "")
}
