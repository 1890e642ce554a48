package checkout_test

import (
	"path"
	"testing"

	standin "outpost/infra/local/stripe"
	"outpost/shared/checkout"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

// The tenant is closed, and looked at for that, before any request of the call that
// opens its page: no page is left that could be paid.
func TestAPageThatIsOpenedWhileTheTenantIsClosedIsClosedToo(t *testing.T) {
	w := newWorld(t)
	w.late(func() {
		_, err := w.ChangeTenant(t.Context(), w.Tenant, w.By("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(w.Clock.Now()), nil })
		w.Must(err)
	})
}

func TestAPageThatIsOpenedWhileTheOperatorTakesThePlanIsClosedToo(t *testing.T) {
	w := newWorld(t)
	w.late(func() {
		enterprise := "enterprise"
		w.Change(tenant.Change{Plan: &enterprise})
	})
}

// late has a change made, and looked at, before each request of a call that opens a
// page, in turn; the call is refused unless the change comes behind it.
func (w *world) late(change func()) {
	t := w.T
	t.Helper()
	for n, reached := 0, true; reached; n++ {
		w.Another("free")
		desk, keeper := w.desk, w.Keeper
		keeper.Stripe = w.Stripe
		reached = false
		client := w.Between(n, func() {
			reached = true
			change()
			w.Sync("")
		})
		desk.Stripe = &stripe.Connection{Client: client, Prices: w.Keeper.Prices}
		desk.Keeper = keeper
		page, err := desk.Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro"}, w.by)
		if reached && err == nil {
			t.Errorf("request %d: opened %s", n, page)
		}
		if !reached {
			w.Must(err)
			change()
			w.Sync("")
		}
		for _, open := range w.pages() {
			if _, err := w.Fake.Checkout(open, standin.GoodCard); err == nil {
				t.Errorf("request %d: a page can be paid", n)
			}
		}
		if page != "" {
			if _, err := w.Fake.Checkout(path.Base(page), standin.GoodCard); err == nil {
				t.Errorf("request %d: the page can be paid", n)
			}
		}
	}
}

// pages are all of Checkout that were ever opened.
func (w *world) pages() (ids []string) {
	w.T.Helper()
	it := w.shop().API.CheckoutSessions.List(nil)
	for it.Next() {
		ids = append(ids, it.CheckoutSession().ID)
	}
	w.Must(it.Err())
	return ids
}
