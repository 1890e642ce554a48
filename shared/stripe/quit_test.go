package stripe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/stripe"
)

// begin makes a subscription whose first payment is not made, as an unfinished 3-D
// Secure leaves it, and returns it with the invoice of that payment.
func (s *shop) begin(t *testing.T, customer string) (sub, invoice string) {
	t.Helper()
	price, _ := s.prices.Of("pro")
	made, err := s.sdk.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer, PaymentBehavior: sdk.String("default_incomplete"), Items: []*sdk.SubscriptionItemsParams{{Price: &price}}})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID, made.LatestInvoice.ID
}

// payLate pays an invoice by a good card, and tells whether Stripe took it.
func (s *shop) payLate(invoice string) bool {
	_, err := s.sdk.Invoices.Pay(invoice, &sdk.InvoicePayParams{PaymentMethod: sdk.String(standin.GoodCard)})
	return err == nil
}

// charges makes sure that all that a customer was charged for goes on, and returns
// how many subscriptions that are.
func (s *shop) charges(t *testing.T, customer string) (charged int) {
	t.Helper()
	is := map[string]string{}
	for _, sub := range s.Server.Subscriptions(customer) {
		is[sub.ID] = sub.Status
	}
	for _, inv := range s.Invoices(customer) {
		if inv.AmountPaid == 0 {
			continue
		}
		if charged++; is[*inv.Subscription] != "active" {
			t.Errorf("%d cents were paid for a subscription that is %s", inv.AmountPaid, is[*inv.Subscription])
		}
	}
	return charged
}

// between has something happen before the client's n-th request.
func (s *shop) between(t *testing.T, n int, happens func()) *stripe.Client {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if n == 0 {
			happens()
		}
		n--
		mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := stripe.New(stripe.Options{Keys: keys, Base: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckoutGivesUpWhatWasNeverPaid(t *testing.T) {
	s := open(t, 11)
	customer := s.customer(t)
	first, invoice := s.begin(t, customer)
	_, second := s.begin(t, customer)
	page, err := s.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
	if err != nil {
		t.Fatal(err)
	}
	for _, inv := range []string{invoice, second} {
		if s.payLate(inv) {
			t.Error("what was given up can be paid")
		}
	}
	if _, err := s.Checkout(path.Base(page), standin.GoodCard); err != nil || s.charges(t, customer) != 1 || s.living(customer) != 1 {
		t.Errorf("%d are living, %v", s.living(customer), err)
	}
	if got := s.standing(t, customer); got.Plan != "enterprise" || got.Subscription == first {
		t.Errorf("%+v", got)
	}
}

// The old invoice is paid before each request of the call in turn, and once more at
// the end: whoever is first, one subscription is paid for, and it goes on.
func TestWhoeverPaysTheOldInvoiceWhenEverPaysOnce(t *testing.T) {
	old, news := 0, 0
	for n := 0; ; n++ {
		s := open(t, uint64(n))
		customer := s.customer(t)
		_, invoice := s.begin(t, customer)
		reached := false
		c := s.between(t, n, func() { reached = true; s.payLate(invoice) })
		page, err := c.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
		switch {
		case err == nil:
			if _, err := s.Checkout(path.Base(page), standin.GoodCard); err != nil {
				t.Errorf("request %d: the page cannot be paid: %v", n, err)
			}
			news++
		case errors.Is(err, stripe.ErrSubscribed):
			old++
		default:
			t.Errorf("request %d: %v", n, err)
		}
		s.payLate(invoice)
		if charged := s.charges(t, customer); charged != 1 || s.living(customer) != 1 {
			t.Errorf("request %d: %d charges, %d subscriptions", n, charged, s.living(customer))
		}
		if !reached {
			break
		}
	}
	if old < 3 || news < 3 {
		t.Errorf("the old invoice came first %d times, the page %d times", old, news)
	}
}

// Two tabs and somebody who pays the old invoice, all at once, while answers are lost.
func TestAPageAndTheOldInvoicePaidAtOnceMakeOneSubscription(t *testing.T) {
	old, pages := 0, 0
	for seed := range uint64(400) {
		s := open(t, seed)
		customer := s.customer(t)
		sub, invoice := s.begin(t, customer)
		for _, path := range []string{"/v1/invoices", "/v1/subscriptions", "/v1/checkout"}[:seed%4] {
			s.Fail(standin.Fault{Path: path, Times: 1, LoseAnswer: true})
		}
		var people sync.WaitGroup
		for _, plan := range []string{"pro", "enterprise"} {
			people.Go(func() {
				for range 50 {
					page, err := s.Open(t.Context(), s.wish("ten_1", customer, plan))
					if err == nil {
						_, err = s.Checkout(path.Base(page), standin.GoodCard)
					}
					if err == nil || errors.Is(err, stripe.ErrSubscribed) {
						return
					}
				}
				t.Errorf("seed %d: there is neither a page nor a subscription", seed)
			})
		}
		people.Go(func() {
			for range seed % 7 { // so many requests later
				_, _ = s.Client.Session(t.Context(), "cs_none")
			}
			s.payLate(invoice)
		})
		people.Wait()
		if charged := s.charges(t, customer); charged != 1 || s.living(customer) != 1 {
			t.Fatalf("seed %d: %d charges, %d subscriptions", seed, charged, s.living(customer))
		}
		if s.standing(t, customer).Subscription == sub {
			old++
		} else {
			pages++
		}
		if old > 10 && pages > 10 && seed >= 60 {
			return
		}
	}
	t.Errorf("the old invoice was paid %d times, a page %d times", old, pages)
}

// To leave what was never paid ends it at once, and nobody can pay it after that;
// to leave what is paid at that moment ends it with what is paid.
func TestWhoLeavesBeforeItHasPaidPaysNothing(t *testing.T) {
	s := open(t, 12)
	customer := s.customer(t)
	sub, invoice := s.begin(t, customer)
	if err := s.Move(t.Context(), sub, billing.Leave, ""); err != nil || s.payLate(invoice) || s.living(customer) != 0 {
		t.Errorf("%v, %d are living", err, s.living(customer))
	}
	for n := range 5 {
		s := open(t, 13)
		customer := s.customer(t)
		sub, invoice := s.begin(t, customer)
		c := s.between(t, n, func() { s.payLate(invoice) })
		err := c.Move(t.Context(), sub, billing.Leave, "")
		s.payLate(invoice)
		subs := s.Server.Subscriptions(customer)
		if charged := s.charges(t, customer); err != nil || charged == 1 && !subs[0].CancelAtPeriodEnd || charged == 0 && subs[0].Status != "canceled" {
			t.Errorf("request %d: %v, %d charges of %+v", n, err, charged, subs[0])
		}
		s.Advance(40 * 24 * time.Hour)
		if s.living(customer) != 0 {
			t.Errorf("request %d: a month later it goes on", n)
		}
	}
}
