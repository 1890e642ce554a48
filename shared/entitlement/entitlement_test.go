package entitlement_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

const day = 24 * time.Hour

type world struct{ *entitlementtest.World }

func newWorld(t *testing.T) *world { return &world{entitlementtest.New(t)} }

func cause(event string) entitlement.Cause {
	return entitlement.Cause{Actor: "test", Event: event, Detail: "for the test"}
}

func TestThePlanFollowsStripeAndEachEventActsOnce(t *testing.T) {
	w := newWorld(t)
	customer := w.Pays("pro")
	if changed, plan := w.Sync("evt_1"); !changed || plan != "pro" {
		t.Fatalf("%t, %s", changed, plan)
	}
	if e := w.Events(); len(e) != 1 || e[0].Detail != "for the test" || e[0].Target != w.Tenant {
		t.Errorf("events: %+v", e)
	}
	if woken := w.Woken(); len(woken) != 1 || woken[0] != w.Tenant {
		t.Errorf("woken: %v", woken)
	}
	for _, event := range []string{"evt_2", ""} { // nothing new
		if changed, plan := w.Sync(event); changed || plan != "pro" || len(w.Events()) != 1 {
			t.Errorf("%q: %t, %s, %d events", event, changed, plan, len(w.Events()))
		}
	}
	w.EndAll(customer)
	for _, event := range []string{"evt_1", "evt_2"} { // they have acted
		if changed, plan := w.Sync(event); changed || plan != "pro" {
			t.Errorf("%s acts again: %t, %s", event, changed, plan)
		}
	}
	if changed, plan := w.Sync("evt_3"); !changed || plan != "free" {
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
	customer := w.Pays("pro")
	w.Sync("")
	w.Must(w.Fake.SetCard(customer, standin.FailingCard))
	w.Advance(31*day + time.Hour)
	if _, plan := w.Sync(""); plan != "pro" {
		t.Errorf("within the grace: %s", plan)
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	w.Must(err)
	w.Clock.Advance(b.Standing.GraceUntil.Sub(w.Clock.Now()))
	if changed, plan := w.Sync(""); !changed || plan != "free" {
		t.Errorf("after it: %t, %s", changed, plan)
	}
}

func TestTheOperatorsPlanIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	enterprise, source := "enterprise", tenant.ByStripe
	w.Change(tenant.Change{Plan: &enterprise})
	if changed, plan := w.Sync("evt_1"); changed || plan != "enterprise" || len(w.billed()) != 1 {
		t.Errorf("%t, %s, billed %v", changed, plan, w.billed())
	}
	if _, err := w.BindCustomer(t.Context(), w.Tenant, "cus_other", w.By("billing.checkout")); !errors.Is(err, tenant.ErrOperatorsPlan) {
		t.Errorf("Checkout takes it: %v", err)
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	if e := w.Events(); err != nil || b.Standing.Status != "active" || len(e) != 1 || slices.ContainsFunc(e[0].Changes, func(c audit.Change) bool { return c.Field == "plan" }) {
		t.Errorf("recorded is %+v by %+v, %v", b.Standing, e, err)
	}
	w.Change(tenant.Change{PlanSource: &source})
	if changed, plan := w.Sync("evt_2"); !changed || plan != "pro" || len(w.billed()) != 1 {
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
	w.Another("pro")
	source := tenant.ByStripe
	w.Change(tenant.Change{PlanSource: &source})
	if changed, plan := w.Sync(""); !changed || plan != "free" || fmt.Sprint(w.billed()) != fmt.Sprint([]string{w.Tenant}) {
		t.Errorf("%t, %s, billed %v", changed, plan, w.billed())
	}
}

func TestADeletedCustomerIsFollowedByAnother(t *testing.T) {
	w := newWorld(t)
	first := w.Pays("pro")
	w.Sync("")
	w.Deletes(first)
	for i := range 2 {
		changed, plan := w.Sync("")
		b, err := w.Billing(t.Context(), w.Tenant)
		if w.Must(err); changed != (i == 0) || plan != "free" || b.Customer != "" || b.Deleted != 1 || b.Standing.Sentence == "" {
			t.Errorf("look %d: %t, %s, %+v", i, changed, plan, b)
		}
	}
	second := w.Pays("enterprise")
	if changed, plan := w.Sync(""); !changed || plan != "enterprise" || second == first {
		t.Errorf("%t, %s, customer %s again", changed, plan, second)
	}
}

func TestAClosedTenantPaysNoLonger(t *testing.T) {
	w := newWorld(t)
	customer := w.Pays("pro")
	w.Sync("")
	_, err := w.ChangeTenant(t.Context(), w.Tenant, w.By("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Close(w.Clock.Now()), nil
	})
	w.Must(err)
	if changed, plan := w.Sync(""); changed || plan != "pro" {
		t.Errorf("%t, %s", changed, plan)
	}
	if s := w.Fake.Subscriptions(customer); len(s) != 1 || s[0].Status != "canceled" || len(w.billed()) != 0 {
		t.Errorf("%+v, billed %v", s, w.billed())
	}
}

func TestASuspendedTenantStaysSuspendedWhateverItPays(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	suspended := tenant.Suspended
	w.Change(tenant.Change{State: &suspended})
	w.Sync("")
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
	w := entitlementtest.On(t, table.New(sound, name, c), c)
	w.Keeper.Store = table.New(enginetest.Client(t, enginetest.NewFlaky(7, 0.05, 0.05)), name, c)
	customer := w.Pays("pro")
	for round, want := range []string{"pro", "free"} {
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				c.Advance(time.Millisecond)
				for { // as a queue delivers again what failed
					if _, err := w.Keeper.Sync(context.Background(), w.Tenant, entitlement.Cause{Actor: "test", Event: fmt.Sprintf("evt_%d_%d", round, i%10)}); err == nil {
						return
					}
					c.Advance(time.Millisecond)
				}
			})
		}
		wait.Wait()
		if plan := w.Plan(); plan != want {
			t.Errorf("round %d: %s", round, plan)
		}
		if n := len(w.Events()); n != round+1 {
			t.Errorf("round %d: %d events", round, n)
		}
		w.EndAll(customer)
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
			one, err := w.BindCustomer(context.Background(), w.Tenant, fmt.Sprint("cus_", i), w.By("billing.checkout"))
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
	w.Another("free")
	for one := range bound {
		if _, err := w.BindCustomer(t.Context(), w.Tenant, one, w.By("billing.checkout")); !errors.Is(err, table.ErrExists) {
			t.Errorf("another tenant's customer is bound: %v", err)
		}
	}
}
