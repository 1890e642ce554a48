package entitlement_test

import (
	"context"
	"errors"
	"fmt"
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

const day = 24 * time.Hour

// world is a tenant on the free plan, and a stand-in for Stripe.
type world struct {
	*settlementtest.World
	entitlement.Keeper
	fake   *standin.Server
	stripe *stripe.Client
	url    string
	caller tenant.Caller
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(settlementtest.Start)
	return on(t, enginetest.Table(t, c), c)
}

func on(t *testing.T, store *table.Table, c *clock.Manual) *world {
	t.Helper()
	w := &world{World: settlementtest.New(t, store, c, "free")}
	var err error
	if w.fake, err = standin.New(standin.Options{Clock: c, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.fake)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.stripe, err = stripe.New(stripe.Options{Keys: platform.Stripe{Key: "sk_" + "test_x", WebhookSecret: "whsec_" + "x"}, Base: server.URL, Retries: 2})
	w.Must(err)
	shop, err := w.stripe.Setup(t.Context(), "https://outpost.example/webhooks/stripe", "https://outpost.example/")
	w.Must(err)
	w.Keeper = entitlement.Keeper{Stripe: w.stripe, Store: w.Table, Waker: w.World.Waker(settlementtest.After(1 << 30)), Prices: shop.Prices, Clock: c}
	w.Tenant, w.caller = w.NewTenant(tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1})
	return w
}

func (w *world) by(action string) table.By {
	now := w.World.Clock.Now()
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: "test"}}
}

// pays makes the tenant a customer who has paid for a plan.
func (w *world) pays(plan string) (customer string) {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	made, err := w.stripe.Customer(w.T.Context(), w.Tenant, b.Deleted, "a tenant", "a@example.com")
	w.Must(err)
	customer, err = w.BindCustomer(w.T.Context(), w.Tenant, made, w.by("billing.checkout"))
	w.Must(err)
	price, _ := w.Prices.Of(plan)
	page, err := w.stripe.Open(w.T.Context(), stripe.Checkout{Tenant: w.Tenant, Customer: customer, Price: price, SuccessURL: "https://a.example/", CancelURL: "https://a.example/"})
	w.Must(err)
	_, err = w.fake.Checkout(path.Base(page), standin.GoodCard)
	w.Must(err)
	return customer
}

// sync looks a moment later, and returns the plan.
func (w *world) sync(event string) (changed bool, plan string) {
	w.T.Helper()
	w.World.Clock.Advance(time.Second)
	changed, err := w.Sync(w.T.Context(), w.Tenant, entitlement.Cause{Actor: "test", Event: event, Detail: "for the test"})
	w.Must(err)
	return changed, w.plan()
}

// plan is the tenant's, which its key has too.
func (w *world) plan() string {
	w.T.Helper()
	tn, err := w.Table.Tenant(w.T.Context(), w.Tenant)
	w.Must(err)
	k, err := w.KeyByHash(w.T.Context(), w.caller.KeyHash)
	w.Must(err)
	if k.Entitlement != tn.Entitlement {
		w.T.Errorf("the tenant has %+v, its key %+v", tn.Entitlement, k.Entitlement)
	}
	return tn.Entitlement.Plan
}

func (w *world) events() []audit.Event {
	w.T.Helper()
	events, _, err := w.AuditEvents(w.T.Context(), w.Tenant, table.AuditRange{Action: "billing.sync"}, 100)
	w.Must(err)
	return events
}

func TestThePlanFollowsStripeAndEachEventActsOnce(t *testing.T) {
	w := newWorld(t)
	customer := w.pays("pro")
	if changed, plan := w.sync("evt_1"); !changed || plan != "pro" {
		t.Fatalf("%t, %s", changed, plan)
	}
	if e := w.events(); len(e) != 1 || e[0].Detail != "for the test" || e[0].Target != w.Tenant {
		t.Errorf("events: %+v", e)
	}
	if woken := w.Woken(); len(woken) != 1 || woken[0] != w.Tenant {
		t.Errorf("woken: %v", woken)
	}
	for _, event := range []string{"evt_2", ""} { // nothing new
		if changed, plan := w.sync(event); changed || plan != "pro" || len(w.events()) != 1 {
			t.Errorf("%q: %t, %s, %d events", event, changed, plan, len(w.events()))
		}
	}
	for _, sub := range w.fake.Subscriptions(customer) {
		w.Must(w.stripe.Cancel(t.Context(), sub.ID))
	}
	for _, event := range []string{"evt_1", "evt_2"} { // they have acted
		if changed, plan := w.sync(event); changed || plan != "pro" {
			t.Errorf("%s acts again: %t, %s", event, changed, plan)
		}
	}
	if changed, plan := w.sync("evt_3"); !changed || plan != "free" {
		t.Errorf("%t, %s", changed, plan)
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	if w.Must(err); b.Standing.Sentence != "The subscription has ended: the free plan." || b.Customer != customer {
		t.Errorf("%+v", b)
	}
	if owner, err := w.TenantOfCustomer(t.Context(), customer); err != nil || owner != w.Tenant {
		t.Errorf("the customer is %s's: %v", owner, err)
	}
}

// The grace ends by the clock, without any event.
func TestTheGraceEndsByTheClock(t *testing.T) {
	w := newWorld(t)
	customer := w.pays("pro")
	w.sync("")
	w.Must(w.fake.SetCard(customer, standin.FailingCard))
	w.fake.Advance(31*day + time.Hour)
	w.World.Clock.Advance(31*day + time.Hour)
	if _, plan := w.sync(""); plan != "pro" {
		t.Errorf("within the grace: %s", plan)
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	w.Must(err)
	w.World.Clock.Advance(b.Standing.GraceUntil.Sub(w.World.Clock.Now()))
	if changed, plan := w.sync(""); !changed || plan != "free" {
		t.Errorf("after it: %t, %s", changed, plan)
	}
}

func TestTheOperatorsPlanIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.pays("pro")
	enterprise, source := "enterprise", tenant.ByStripe
	change := func(c tenant.Change) {
		_, err := w.ChangeTenant(t.Context(), w.Tenant, w.by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(c) })
		w.Must(err)
	}
	change(tenant.Change{Plan: &enterprise})
	if changed, plan := w.sync("evt_1"); changed || plan != "enterprise" || len(w.billed()) != 0 {
		t.Errorf("%t, %s, billed %v", changed, plan, w.billed())
	}
	if _, err := w.BindCustomer(t.Context(), w.Tenant, "cus_other", w.by("billing.checkout")); !errors.Is(err, tenant.ErrOperatorsPlan) {
		t.Errorf("Checkout takes it: %v", err)
	}
	change(tenant.Change{PlanSource: &source})
	if changed, plan := w.sync("evt_1"); !changed || plan != "pro" || len(w.billed()) != 1 {
		t.Errorf("handed over: %t, %s, billed %v", changed, plan, w.billed())
	}
}

func (w *world) billed() []string {
	w.T.Helper()
	ids, next, err := w.BilledTenants(w.T.Context(), "", 100)
	if w.Must(err); next != "" {
		w.T.Errorf("there is more behind %s", next)
	}
	return ids
}

func TestWhoWasHandedOverWithoutACustomerHasTheFreePlan(t *testing.T) {
	w := newWorld(t)
	w.Tenant, w.caller = w.NewTenant(tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1})
	source := tenant.ByStripe
	_, err := w.ChangeTenant(t.Context(), w.Tenant, w.by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Apply(tenant.Change{PlanSource: &source})
	})
	w.Must(err)
	if changed, plan := w.sync(""); !changed || plan != "free" || fmt.Sprint(w.billed()) != fmt.Sprint([]string{w.Tenant}) {
		t.Errorf("%t, %s, billed %v", changed, plan, w.billed())
	}
}

func TestADeletedCustomerIsFollowedByAnother(t *testing.T) {
	w := newWorld(t)
	first := w.pays("pro")
	w.sync("")
	w.deletes(first)
	for i := range 2 {
		changed, plan := w.sync("")
		b, err := w.Billing(t.Context(), w.Tenant)
		if w.Must(err); changed != (i == 0) || plan != "free" || b.Customer != "" || b.Deleted != 1 || b.Standing.Sentence == "" {
			t.Errorf("look %d: %t, %s, %+v", i, changed, plan, b)
		}
	}
	second := w.pays("enterprise")
	if changed, plan := w.sync(""); !changed || plan != "enterprise" || second == first {
		t.Errorf("%t, %s, customer %s again", changed, plan, second)
	}
}

func TestAClosedTenantPaysNoLonger(t *testing.T) {
	w := newWorld(t)
	customer := w.pays("pro")
	w.sync("")
	_, err := w.ChangeTenant(t.Context(), w.Tenant, w.by("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Close(w.World.Clock.Now()), nil
	})
	w.Must(err)
	if changed, plan := w.sync(""); changed || plan != "pro" {
		t.Errorf("%t, %s", changed, plan)
	}
	if s := w.fake.Subscriptions(customer); len(s) != 1 || s[0].Status != "canceled" || len(w.billed()) != 0 {
		t.Errorf("%+v, billed %v", s, w.billed())
	}
}

func TestASuspendedTenantStaysSuspendedWhateverItPays(t *testing.T) {
	w := newWorld(t)
	w.pays("pro")
	suspended := tenant.Suspended
	_, err := w.ChangeTenant(t.Context(), w.Tenant, w.by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Apply(tenant.Change{State: &suspended})
	})
	w.Must(err)
	w.sync("")
	if tn, err := w.Table.Tenant(t.Context(), w.Tenant); err != nil || tn.Entitlement.Plan != "pro" || tn.Entitlement.State != tenant.Suspended {
		t.Errorf("%+v, %v", tn, err)
	}
}

// Many look at once, answers are lost and transactions conflict; what stays is
// what Stripe says, and one event tells of each change.
func TestManyLooksAtOnceEndInStripesTruth(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	sound := enginetest.Client(t, nil)
	name := enginetest.TableName(t, sound)
	w := on(t, table.New(sound, name, c), c)
	w.Store = table.New(enginetest.Client(t, enginetest.NewFlaky(7, 0.05, 0.05)), name, c)
	customer := w.pays("pro")
	for round, want := range []string{"pro", "free"} {
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				c.Advance(time.Millisecond)
				for { // as a queue delivers again what failed
					if _, err := w.Sync(context.Background(), w.Tenant, entitlement.Cause{Actor: "test", Event: fmt.Sprintf("evt_%d_%d", round, i%10)}); err == nil {
						return
					}
					c.Advance(time.Millisecond)
				}
			})
		}
		wait.Wait()
		if plan := w.plan(); plan != want {
			t.Errorf("round %d: %s", round, plan)
		}
		if n := len(w.events()); n != round+1 {
			t.Errorf("round %d: %d events", round, n)
		}
		for _, sub := range w.fake.Subscriptions(customer) {
			w.Must(w.stripe.Cancel(t.Context(), sub.ID))
		}
	}
}

// Of many who make a customer at once, one makes the tenant's.
func TestATenantHasOneCustomer(t *testing.T) {
	w := newWorld(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	bound := map[string]bool{}
	for i := range 20 {
		wait.Go(func() {
			one, err := w.BindCustomer(context.Background(), w.Tenant, fmt.Sprint("cus_", i), w.by("billing.checkout"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			bound[one] = true
		})
	}
	wait.Wait()
	if len(bound) != 1 {
		t.Errorf("bound: %v", bound)
	}
	w.Tenant, _ = w.NewTenant(tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1})
	for one := range bound {
		if _, err := w.BindCustomer(t.Context(), w.Tenant, one, w.by("billing.checkout")); !errors.Is(err, table.ErrExists) {
			t.Errorf("another tenant's customer is bound: %v", err)
		}
	}
}

// deletes deletes a customer as somebody at Stripe's dashboard would.
func (w *world) deletes(customer string) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), "DELETE", w.url+"/v1/customers/"+customer, nil)
	w.Must(err)
	req.SetBasicAuth("sk_"+"test_x", "")
	res, err := http.DefaultClient.Do(req)
	if w.Must(err); res.StatusCode != http.StatusOK {
		w.T.Fatal(res.Status)
	}
	res.Body.Close()
}
