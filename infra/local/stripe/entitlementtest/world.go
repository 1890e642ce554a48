// Package entitlementtest is a small world for tests of billing: a tenant on a real
// table, beside a stand-in for Stripe that sells the paid plans.
package entitlementtest

import (
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	standin "outpost/infra/local/stripe"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/id"
	"outpost/shared/platform"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// Keys open the stand-in.
var Keys = platform.Stripe{Key: "sk_" + "test_x", WebhookSecret: "whsec_" + "x"}

// World is a tenant on the free plan, and a stand-in for Stripe. Both live by
// one clock. A copy stays the tenant's when Another changes the World.
type World struct {
	*settlementtest.World
	Keeper entitlement.Keeper
	Fake   *standin.Server
	Stripe *stripe.Client
	Tenant string
	Caller tenant.Caller
	URL    string // of the stand-in
}

// New makes a world.
func New(t testing.TB) *World {
	t.Helper()
	c := clock.NewManual(settlementtest.Start)
	return On(t, enginetest.Table(t, c), c)
}

// On makes a world on a table.
func On(t testing.TB, store *table.Table, c *clock.Manual) *World {
	t.Helper()
	w := &World{World: settlementtest.New(t, store, c, "free")}
	var err error
	if w.Fake, err = standin.New(standin.Options{Clock: c, Seed: 1, URL: "https://outpost.example/webhooks/stripe", Secret: Keys.WebhookSecret}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Fake)
	t.Cleanup(server.Close)
	w.URL = server.URL
	w.Stripe, err = stripe.New(stripe.Options{Keys: Keys, Base: w.URL, Clock: c})
	w.Must(err)
	prices, err := w.Stripe.SetUpPrices(t.Context())
	w.Must(err)
	w.Keeper = entitlement.Keeper{Stripe: w.Stripe, Store: store, Waker: w.Waker(settlementtest.After(1 << 30)), Prices: prices, Clock: c}
	w.Another("free")
	return w
}

// Another makes the world another tenant's, on a plan of the operator's.
func (w *World) Another(plan string) {
	w.T.Helper()
	w.Tenant, w.Caller = w.NewTenant(tenant.Entitlement{Plan: plan, State: tenant.Active, Version: 1})
}

// Advance moves the clock, which is Outpost's and the stand-in's, and has the
// stand-in do what that brings.
func (w *World) Advance(d time.Duration) {
	w.Clock.Advance(d)
	w.Fake.Tick()
}

// Between is a client before whose n-th request something happens at Stripe.
func (w *World) Between(n int, happens func()) *stripe.Client {
	w.T.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if n == 0 {
			happens()
		}
		n--
		mu.Unlock()
		w.Fake.ServeHTTP(rw, r)
	}))
	w.T.Cleanup(server.Close)
	c, err := stripe.New(stripe.Options{Keys: Keys, Base: server.URL})
	w.Must(err)
	return c
}

// By is who makes a change in a test.
func (w *World) By(action string) table.By {
	now := w.Clock.Now()
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: "test"}}
}

// ByKey is By for what the tenant's key does.
func (w *World) ByKey(action, target string) table.By {
	by := w.By(action)
	by.KeyHash, by.Audit.Actor, by.Audit.Target = w.Caller.KeyHash, w.Caller.KeyID, target
	return by
}

// Change changes the tenant as the operator does.
func (w *World) Change(c tenant.Change) {
	w.T.Helper()
	_, err := w.ChangeTenant(w.T.Context(), w.Tenant, w.By("tenant.update"), func(t tenant.Tenant) (tenant.Tenant, error) { return t.Apply(c) })
	w.Must(err)
}

// Pays makes the tenant a customer who has paid for a plan by Checkout.
func (w *World) Pays(plan string) (customer string) {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	made, err := w.Stripe.Customer(w.T.Context(), w.Tenant, b.Deleted, "a tenant", "a@example.com")
	w.Must(err)
	customer, err = w.BindCustomer(w.T.Context(), w.Tenant, made, w.By("billing.checkout"))
	w.Must(err)
	price, _ := w.Keeper.Prices.Of(plan)
	page, err := w.Stripe.Open(w.T.Context(), stripe.Checkout{Tenant: w.Tenant, Customer: customer, Price: price, SuccessURL: "https://a.example/", CancelURL: "https://a.example/"})
	w.Must(err)
	_, err = w.Fake.Checkout(path.Base(page), standin.GoodCard)
	w.Must(err)
	return customer
}

// EndAll ends a customer's subscriptions at once.
func (w *World) EndAll(customer string) {
	w.T.Helper()
	for _, sub := range w.Fake.Subscriptions(customer) {
		w.Must(w.Stripe.Cancel(w.T.Context(), sub.ID))
	}
}

// Sync looks a second later, for an event or for none, and returns the plan.
func (w *World) Sync(event string) (changed bool, plan string) {
	w.T.Helper()
	w.Clock.Advance(time.Second)
	changed, err := w.Keeper.Sync(w.T.Context(), w.Tenant, entitlement.Cause{Actor: "test", Event: event, Detail: "for the test"})
	w.Must(err)
	return changed, w.Plan()
}

// Plan is the tenant's, which its key must have too.
func (w *World) Plan() string {
	w.T.Helper()
	tn, err := w.Table.Tenant(w.T.Context(), w.Tenant)
	w.Must(err)
	k, err := w.KeyByHash(w.T.Context(), w.Caller.KeyHash)
	w.Must(err)
	if k.Entitlement != tn.Entitlement {
		w.T.Errorf("the tenant has %+v, its key %+v", tn.Entitlement, k.Entitlement)
	}
	return tn.Entitlement.Plan
}

// Events are the audit events of syncs.
func (w *World) Events() []audit.Event {
	w.T.Helper()
	events, _, err := w.AuditEvents(w.T.Context(), w.Tenant, table.AuditRange{Action: "billing.sync"}, 100)
	w.Must(err)
	return events
}

// Deletes deletes a customer as somebody at Stripe's dashboard would.
func (w *World) Deletes(customer string) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), "DELETE", w.URL+"/v1/customers/"+customer, nil)
	w.Must(err)
	req.SetBasicAuth(Keys.Key, "")
	res, err := http.DefaultClient.Do(req)
	w.Must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		w.T.Fatal(res.Status)
	}
}
