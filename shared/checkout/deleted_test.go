package checkout_test

import (
	"errors"
	"path"
	"testing"
	"time"

	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

// A tenant whose customer was deleted at Stripe while its plan was the operator's
// gets a page that can be paid, at once, whether a page of the old one is open or not.
func TestWhoseCustomerWasDeletedBesideTheOperatorsPlanGetsAPageThatWorks(t *testing.T) {
	free := "free"
	for why, before := range map[string]func(w *world){
		"a page is open":   func(w *world) { _, err := w.open("pro"); w.Must(err) },
		"no page is open":  func(w *world) { w.subscribed("pro"); w.EndAll(w.customer()); w.Sync("") },
		"it still pays":    func(w *world) { w.Pays("pro") }, // and nobody has looked
		"nobody has asked": func(w *world) { w.Must(w.registers()) },
	} {
		w := newWorld(t)
		before(w)
		old := w.customer()
		w.Change(tenant.Change{Plan: &free})
		w.Deletes(old)
		w.subscribed("pro")
		if w.customer() == old || w.Plan() != "pro" || w.living() != 1 {
			t.Errorf("%s: on the plan %s, of the customer %s after %s", why, w.Plan(), w.customer(), old)
		}
	}
}

// registers makes the tenant a customer who has asked for no page.
func (w *world) registers() error {
	made, err := w.Stripe.Customer(w.T.Context(), w.Tenant, 0, "a tenant", "a@example.com")
	if err == nil {
		_, err = w.BindCustomer(w.T.Context(), w.Tenant, made, w.By("billing.customer"))
	}
	return err
}

// The operator's plan free hides no subscription that runs and that nobody had seen
// when the plan was taken: it is found before a page is opened, and the tenant is on
// its plan.
func TestWhatStillRunsBesideTheOperatorsPlanIsFoundByCheckout(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	free := "free"
	w.Change(tenant.Change{Plan: &free})
	if _, err := w.open("enterprise"); !errors.Is(err, stripe.ErrSubscribed) || w.Plan() != "pro" || w.charged() != 2900 {
		t.Errorf("%v, on the plan %s, charged %d cents", err, w.Plan(), w.charged())
	}
}

// The customer is deleted before any request of the call that opens its page: the
// page that it gets, or the one that it gets when it asks again, can be paid.
func TestACustomerThatIsDeletedMeanwhileIsFollowedByAnother(t *testing.T) {
	for n, during := 0, true; during; n++ {
		w := newWorld(t)
		w.Must(w.registers())
		old := w.customer()
		reached := false
		desk, keeper := w.desk, w.Keeper
		client := w.Between(n, func() { reached = true; w.Deletes(old); w.Clock.Advance(time.Second) })
		keeper.Stripe = client
		desk.Stripe, desk.Keeper = &stripe.Connection{Client: client, Prices: w.Keeper.Prices}, keeper
		w.desk = desk
		page, err := w.open("pro")
		if during = reached; !during {
			break
		}
		if err != nil {
			t.Errorf("request %d: %v", n, err)
			continue
		}
		if w.customer() == old {
			t.Errorf("request %d: a page of the customer who was deleted", n)
		}
		if session, way := w.pay(page); w.returns(session, way) != success || w.Plan() != "pro" {
			t.Errorf("request %d: %s, on the plan %s", n, path.Base(page), w.Plan())
		}
	}
}
