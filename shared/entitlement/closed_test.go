package entitlement_test

import (
	"path"
	"testing"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

// opens makes the tenant a customer, with a page of Checkout that is open.
func (w *world) opens(plan string) (customer, page string) {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	made, err := w.Stripe.Customer(w.T.Context(), w.Tenant, b.Deleted, "a tenant", "a@example.com")
	w.Must(err)
	customer, err = w.BindCustomer(w.T.Context(), w.Tenant, made, w.By("billing.checkout"))
	w.Must(err)
	price, _ := w.Keeper.Prices.Of(plan)
	url, err := w.Stripe.Open(w.T.Context(), stripe.Checkout{Tenant: w.Tenant, Customer: customer, Price: price, SuccessURL: "https://a.example/"})
	w.Must(err)
	return customer, path.Base(url)
}

func (w *world) closes() {
	w.T.Helper()
	_, err := w.ChangeTenant(w.T.Context(), w.Tenant, w.By("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Close(w.Clock.Now()), nil
	})
	w.Must(err)
}

// charged is what a customer has paid, in cents.
func (w *world) charged(customer string) (cents int64) {
	for _, inv := range w.Fake.Invoices(customer) {
		cents += inv.AmountPaid
	}
	return cents
}

// Whatever a tenant could still pay when it was closed, nobody can after the look.
func TestAClosedTenantCanPayNoMore(t *testing.T) {
	w := newWorld(t)
	customer, page := w.opens("pro")
	shop := lives.New(w.Fake, w.URL, entitlementtest.Keys, w.Keeper.Prices)
	w.Must(shop.Begin(customer, "enterprise"))
	w.closes()
	for range 2 {
		w.Sync("evt_close")
	}
	if _, err := w.Fake.Checkout(page, standin.GoodCard); err == nil {
		t.Error("its page is open")
	}
	w.Must(w.Fake.SetCard(customer, standin.GoodCard))
	if err := shop.Pay(customer); err != nil || w.charged(customer) != 0 || len(w.billed()) != 0 {
		t.Errorf("%v, it was charged %d cents, billed %v", err, w.charged(customer), w.billed())
	}
}

// A look that Stripe cuts short leaves the tenant listed, and the next one ends it.
func TestAPageOfAClosedTenantIsClosedThoughStripeFails(t *testing.T) {
	for _, fault := range []standin.Fault{{Path: "/v1/checkout", Times: 1, Status: 500}, {Path: "/v1/checkout", Times: 2, LoseAnswer: true}, {Path: "/v1/customers", Times: 1, Down: true}} {
		w := newWorld(t)
		_, page := w.opens("pro")
		w.closes()
		w.Fake.Fail(fault)
		for tries := 0; ; tries++ {
			if len(w.billed()) == 0 {
				t.Errorf("%+v: not listed any more", fault)
			}
			if _, err := w.Keeper.Sync(t.Context(), w.Tenant, cause("")); err == nil {
				break
			} else if tries > 3 {
				t.Fatal(err)
			}
		}
		if _, err := w.Fake.Checkout(page, standin.GoodCard); err == nil || len(w.billed()) != 0 {
			t.Errorf("%+v: its page is open, billed %v", fault, w.billed())
		}
	}
}

// A page that is paid, or an invoice, before any request of the look leaves no
// subscription that goes on.
func TestAClosedTenantThatPaysAtThatMomentPaysNoSecondMonth(t *testing.T) {
	for n, paid := 0, true; paid; n++ {
		w := newWorld(t)
		customer, page := w.opens("pro")
		shop := lives.New(w.Fake, w.URL, entitlementtest.Keys, w.Keeper.Prices)
		w.Must(shop.Begin(customer, "enterprise"))
		w.Must(w.Fake.SetCard(customer, standin.GoodCard))
		w.closes()
		paid = false
		k := w.Keeper
		k.Stripe = w.Between(n, func() {
			paid = true
			_, _ = w.Fake.Checkout(page, standin.GoodCard)
			_ = shop.Pay(customer)
		})
		_, err := k.Sync(t.Context(), w.Tenant, cause(""))
		w.Must(err)
		before := w.charged(customer)
		_, _ = w.Fake.Checkout(page, standin.GoodCard)
		w.Must(shop.Pay(customer))
		if w.Advance(40 * day); w.charged(customer) != before || len(w.billed()) != 0 {
			t.Errorf("request %d: charged %d cents and then %d, billed %v", n, before, w.charged(customer), w.billed())
		}
		for _, sub := range w.Fake.Subscriptions(customer) {
			if sub.Status != string(sdk.SubscriptionStatusCanceled) {
				t.Errorf("request %d: a subscription is %s", n, sub.Status)
			}
		}
	}
}
