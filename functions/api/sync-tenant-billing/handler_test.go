package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api/apitest"
	"outpost/shared/billing"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/problem"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

type world struct {
	*entitlementtest.World
	connection *stripe.Connection
	route      *apitest.Route
}

func newWorld(t *testing.T) *world {
	w := &world{World: entitlementtest.New(t)}
	secrets, err := (platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32)), Stripe: entitlementtest.Keys}).Secrets()
	w.Must(err)
	w.connection, err = stripe.ConnectLater(t.Context(), config.New(config.Map(map[string]string{
		"OUTPOST_STRIPE_PRICES": w.Keeper.Prices.String(), "OUTPOST_STRIPE_LIVE": "false", "OUTPOST_STRIPE_API_BASE": w.URL})), secrets)
	w.Must(err)
	k := w.Keeper
	k.Stripe, k.Prices = asked{w.connection}, w.connection.Prices
	w.route = apitest.Serve(t, "POST", "/v1/tenants/{id}/billing/sync", handler{w.Table, k}.handle)
	return w
}

func (w *world) sync() (out answer) {
	w.T.Helper()
	w.Clock.Advance(time.Second)
	w.route.AsOperator(apitest.Request{ID: w.Tenant}).Into(w.T, 200, &out)
	return out
}

// fields are what has changed, in order.
func fields(a answer) string {
	var all []string
	for _, c := range a.Changes {
		all = append(all, c.Field+": "+c.Before+" → "+c.After)
	}
	return strings.Join(all, "; ")
}

func TestASyncMakesThePlanStripesAndTellsWhatHasChanged(t *testing.T) {
	w := newWorld(t)
	customer := w.Pays("pro")
	got := w.sync()
	if !got.Changed || got.Plan != "pro" || got.Source != "stripe" || got.Standing == nil || !strings.Contains(fields(got), "plan: free → pro") || !strings.Contains(fields(got), "status:  → active") || got.Note != nil {
		t.Errorf("%+v, %s", got, fields(got))
	}
	trail := w.Events()
	if len(trail) != 1 || trail[0].Actor != "operator" || !strings.HasPrefix(trail[0].Detail, "the operator asked for it, req_") || w.Plan() != "pro" {
		t.Errorf("the trail: %+v", trail)
	}
	if got = w.sync(); got.Changed || got.Plan != "pro" || len(w.Events()) != 1 {
		t.Errorf("again: %+v", got)
	}
	w.EndAll(customer)
	if got = w.sync(); !got.Changed || got.Plan != "free" {
		t.Errorf("ended: %+v", got)
	}
	w.Deletes(customer)
	if got = w.sync(); !got.Changed || !strings.Contains(fields(got), "customer: "+customer+" → ") {
		t.Errorf("deleted: %s", fields(got))
	}
}

func TestTheOperatorsPlanIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	enterprise := "enterprise"
	w.Change(tenant.Change{Plan: &enterprise})
	got := w.sync()
	if got.Plan != "enterprise" || got.Source != "operator" || got.Note == nil || w.Plan() != "enterprise" || strings.Contains(fields(got), "plan:") || !strings.Contains(fields(got), "status:  → active") {
		t.Errorf("%+v", got)
	}
	if got = w.sync(); got.Changed || w.Plan() != "enterprise" {
		t.Errorf("again: %+v", got)
	}
}

func TestWhatStripeSaysOfAFailureIsToldAndNothingChanges(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	ask := func() apitest.Answer { return w.route.AsOperator(apitest.Request{ID: w.Tenant}) }
	for _, status := range []int{429, 500} {
		w.Fake.Fail(standin.Fault{Path: "/v1/subscriptions", Times: -1, Status: status})
		if p := ask().Refused(t, problem.BillingUnavailable, ""); !strings.Contains(p.Detail, "does not answer now") {
			t.Errorf("%d: %s", status, p.Detail)
		}
		w.Fake.Heal()
	}
	pro, _ := w.connection.Prices.Of("pro")
	at := slices.IndexFunc(w.connection.Prices, func(p billing.Price) bool { return p.ID == pro })
	w.connection.Prices[at].ID = "price_other" // the keeper has the same table
	if p := ask().Refused(t, problem.BillingMismatch, ""); !strings.Contains(p.Detail, "has the price \""+pro+"\", which no plan has.") {
		t.Error(p.Detail)
	}
	w.connection.Prices[at].ID = pro
	if w.Plan() != "free" || len(w.Events()) != 0 {
		t.Errorf("%s, %+v", w.Plan(), w.Events())
	}
	if got := w.sync(); got.Plan != "pro" {
		t.Errorf("in the end: %+v", got)
	}
	none := apitest.Serve(t, "POST", "/v1/tenants/{id}/billing/sync", handler{store: w.Table}.handle)
	none.AsOperator(apitest.Request{ID: w.Tenant}).Refused(t, problem.BillingUnavailable, "")
}

// Whoever syncs at once with others: each is told the truth or to try again, and
// one event tells of the change.
func TestSyncsAtOnceEndInStripesTruth(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			w.Clock.Advance(time.Millisecond)
			a := w.route.AsOperator(apitest.Request{ID: w.Tenant})
			if a.Status != 200 && a.Status != 503 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	if got := w.sync(); got.Plan != "pro" || w.Plan() != "pro" || len(w.Events()) != 1 {
		t.Errorf("%+v, %d events", got, len(w.Events()))
	}
}

func TestNobodyElseSyncs(t *testing.T) {
	w := newWorld(t)
	w.route.HidesFromTenants(&apitest.World{World: w.World.World, Caller: w.Caller}, w.Tenant)
	for _, id := range []string{"ten_01KAR5G5M0000000000000000Z", "", "nonsense", "tsk" + w.Tenant[3:]} {
		w.route.AsOperator(apitest.Request{ID: id}).Refused(t, problem.NotFound, "")
	}
}
