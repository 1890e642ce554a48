package entitlement_test

import (
	"path"
	"strings"
	"testing"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/tenant"
)

// takes has the operator take the tenant's plan.
func (w *world) takes() {
	w.T.Helper()
	enterprise := "enterprise"
	w.Change(tenant.Change{Plan: &enterprise})
}

// Once the operator has taken a plan a look closes what could still be paid, and the
// tenant is looked at no more; one that was cut short is made again.
func TestATenantWhosePlanWasTakenBeginsNothing(t *testing.T) {
	for _, fault := range []standin.Fault{{}, {Path: "/v1/checkout", Times: 1, Status: 500}, {Path: "/v1/checkout", Times: 2, LoseAnswer: true}, {Path: "/v1/customers", Times: 1, Down: true}} {
		w := newWorld(t)
		customer, page := w.opens("pro")
		w.takes()
		if fault.Times > 0 {
			w.Fake.Fail(fault)
		}
		for tries := 0; ; tries++ {
			if len(w.billed()) == 0 {
				t.Errorf("%+v: not listed any more", fault)
			}
			if _, err := w.Keeper.Sync(t.Context(), w.Tenant, cause("evt_taken")); err == nil {
				break
			} else if tries > 3 {
				t.Fatal(err)
			}
		}
		if _, err := w.Fake.Checkout(page, standin.GoodCard); err == nil || w.charged(customer) != 0 || w.Plan() != "enterprise" || len(w.billed()) != 0 {
			t.Errorf("%+v: %v, charged %d cents, on the plan %s, billed %v", fault, err, w.charged(customer), w.Plan(), w.billed())
		}
	}
}

// A page that is paid before any request of the look is told of, and changes no
// plan; the tenant stays listed until the subscription is over.
func TestWhatIsPaidBesideAPlanThatWasTakenIsTold(t *testing.T) {
	told := 0
	for n, reached := 0, true; reached; n++ {
		w := newWorld(t)
		customer, page := w.opens("pro")
		w.takes()
		reached = false
		k := w.Keeper
		k.Stripe = w.Between(n, func() { reached = true; _, _ = w.Fake.Checkout(page, standin.GoodCard) })
		_, err := k.Sync(t.Context(), w.Tenant, cause(""))
		w.Must(err)
		b, err := w.Billing(t.Context(), w.Tenant)
		w.Must(err)
		goesOn := len(w.Fake.Subscriptions(customer)) == 1
		if w.Plan() != "enterprise" || goesOn != (b.Standing.Status == "active") || goesOn != (len(w.billed()) == 1) {
			t.Errorf("request %d: on the plan %s, goes on: %t, %+v, billed %v", n, w.Plan(), goesOn, b.Standing, w.billed())
		}
		if !goesOn {
			continue
		}
		told++
		w.EndAll(customer)
		if w.Sync(""); w.Plan() != "enterprise" || len(w.billed()) != 0 {
			t.Errorf("request %d, ended: on the plan %s, billed %v", n, w.Plan(), w.billed())
		}
		b, err = w.Billing(t.Context(), w.Tenant)
		if w.Must(err); b.Standing.Status != "canceled" || len(w.Events()) != 2 {
			t.Errorf("request %d, ended: %+v, %d events", n, b.Standing, len(w.Events()))
		}
	}
	if told == 0 {
		t.Error("nothing was ever paid")
	}
}

// What the operator has opened or sold by hand beside a plan of its own is left
// alone: a page without Outpost's metadata, and a price that no plan has.
func TestWhatTheOperatorSellsByHandIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	customer := w.Pays("pro")
	w.takes()
	page, err := lives.New(w.Fake, w.URL, entitlementtest.Keys, w.Keeper.Prices).ByHand(customer, "pro")
	w.Must(err)
	w.Keeper.Prices = nil
	if _, plan := w.Sync("evt_1"); plan != "enterprise" {
		t.Errorf("on the plan %s", plan)
	}
	b, err := w.Billing(t.Context(), w.Tenant)
	if w.Must(err); !strings.Contains(b.Standing.Sentence, "which no plan has") || len(w.billed()) != 0 {
		t.Errorf("%+v, billed %v", b.Standing, w.billed())
	}
	if _, err := w.Fake.Checkout(path.Base(page), standin.GoodCard); err != nil {
		t.Errorf("the operator's own page: %v", err)
	}
}
