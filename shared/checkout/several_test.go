package checkout_test

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/billing"
	"outpost/shared/checkout"
	"outpost/shared/stripe"
)

// shop reaches Stripe past Outpost, as its dashboard does.
func (w *world) shop() *lives.Shop {
	return lives.New(w.Fake, w.URL, entitlementtest.Keys, w.Keeper.Prices)
}

// customer is the tenant's.
func (w *world) customer() string {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	return b.Customer
}

// second makes the customer another subscription, which is paid for.
func (w *world) second(plan string) {
	w.T.Helper()
	price, _ := w.Keeper.Prices.Of(plan)
	customer := w.customer()
	w.Must(w.Fake.SetCard(customer, standin.GoodCard))
	_, err := w.shop().API.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer, Items: []*sdk.SubscriptionItemsParams{{Price: &price}}})
	w.Must(err)
}

// living are the customer's subscriptions that have not ended.
func (w *world) living() (n int) {
	w.T.Helper()
	for _, sub := range w.Fake.Subscriptions(w.customer()) {
		if sub.Status != "canceled" && sub.Status != "incomplete_expired" {
			n++
		}
	}
	return n
}

// Who has two subscriptions, however it came to them, reads of both, and leaves both.
func TestWhoLeavesLeavesEverySubscription(t *testing.T) {
	for why, begins := range map[string]func(w *world){
		"a second one of another plan":      func(w *world) { w.second("enterprise") },
		"a second one of the same":          func(w *world) { w.second("pro") },
		"a second one that is not paid yet": func(w *world) { w.Must(w.shop().Begin(w.customer(), "enterprise")) },
	} {
		w := newWorld(t)
		w.subscribed("pro")
		begins(w)
		w.Sync("")
		if s := w.standing(); w.living() != 2 || !strings.Contains(s.Sentence, "Subscriptions that go on beside this one: 1.") {
			t.Errorf("%s: %d go on: %s", why, w.living(), s.Sentence)
		}
		w.Must(w.change("free"))
		if s := w.standing(); s.Next != "free" || strings.Contains(s.Sentence, "beside") {
			t.Errorf("%s: %+v", why, s)
		}
		for _, inv := range w.Fake.Invoices(w.customer()) {
			if inv.Status == "open" {
				t.Errorf("%s: an invoice can still be paid", why)
			}
		}
		paid := w.charged()
		w.Advance(40 * day)
		if w.Sync(""); w.living() != 0 || w.Plan() != "free" || w.charged() != paid {
			t.Errorf("%s: %d go on, on the plan %s, charged %d after %d", why, w.living(), w.Plan(), w.charged(), paid)
		}
	}
}

// A change that breaks off between two subscriptions may be asked for again.
func TestALeaveThatBrokeOffIsMadeWholeByTheNext(t *testing.T) {
	w := newWorld(t)
	w.subscribed("pro")
	w.second("enterprise")
	subs := w.Fake.Subscriptions(w.customer())
	w.Fake.Fail(standin.Fault{Path: "/v1/subscriptions/" + subs[1].ID, Times: 1, Status: 500})
	var down *checkout.Unavailable
	if err := w.change("free"); !errors.As(err, &down) {
		t.Fatal(err)
	}
	w.Must(w.change("free"))
	w.Advance(40 * day)
	if w.living() != 0 {
		t.Errorf("%d go on", w.living())
	}
}

func TestWhoseFirstPaymentIsMissingMayLeaveOrTryAgain(t *testing.T) {
	w := newWorld(t)
	_, err := w.open("pro")
	w.Must(err)
	w.Must(w.shop().Begin(w.customer(), "pro"))
	w.Must(w.change("free"))
	if w.living() != 0 {
		t.Errorf("%d go on", w.living())
	}
	w.Must(w.shop().Begin(w.customer(), "pro"))
	w.subscribed("enterprise")
	w.Must(w.shop().Pay(w.customer())) // what is open of the old one: nothing
	if w.Sync(""); w.living() != 1 || w.Plan() != "enterprise" || w.charged() != 19900 {
		t.Errorf("%d go on, on the plan %s for %d cents", w.living(), w.Plan(), w.charged())
	}
}

// An old subscription that is owed for, and gives nothing, beside a newer one that has
// ended: every route speaks of the old one, and it can be left.
func TestWhatIsOwedIsFoundBehindWhatHasEnded(t *testing.T) {
	w := newWorld(t)
	w.subscribed("pro")
	w.Must(w.Fake.SetCard(w.customer(), standin.FailingCard))
	w.Advance(38 * day) // renewed, and past its grace
	old := w.Fake.Subscriptions(w.customer())[0]
	w.second("enterprise")
	w.Must(w.Stripe.Cancel(w.T.Context(), w.Fake.Subscriptions(w.customer())[0].ID))
	w.Must(w.Fake.SetCard(w.customer(), standin.FailingCard))
	w.Sync("")
	if s := w.standing(); w.Plan() != "free" || s.Subscription != old.ID || s.Status != "past_due" {
		t.Fatalf("on the plan %s, %+v", w.Plan(), s)
	}
	if _, err := w.open("pro"); !errors.Is(err, stripe.ErrSubscribed) {
		t.Errorf("a page: %v", err)
	}
	if err := w.change("enterprise"); !errors.Is(err, billing.ErrUnpaid) {
		t.Errorf("another plan: %v", err)
	}
	w.Must(w.change("free"))
}
