package stripe_test

import (
	"path"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
)

const day = 24 * time.Hour

// standing is what a customer's latest objects give, now.
func (s *shop) standing(t *testing.T, customer string) billing.Standing {
	t.Helper()
	subs, err := s.Client.Subscriptions(t.Context(), customer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := billing.Decide(subs, s.prices, s.Now())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// subscribe makes a customer who has paid for a plan.
func (s *shop) subscribe(t *testing.T, plan string) (customer string) {
	t.Helper()
	customer, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Open(t.Context(), s.wish("ten_1", customer, plan))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkout(path.Base(page), standin.GoodCard); err != nil {
		t.Fatal(err)
	}
	return customer
}

func TestEachLifeOfASubscriptionEndsInTheRightPlan(t *testing.T) {
	type step struct {
		after time.Duration
		do    func(s *shop, customer, sub string) error
		plan  string
	}
	card := func(c string) func(*shop, string, string) error {
		return func(s *shop, customer, _ string) error { return s.SetCard(customer, c) }
	}
	cancel := func(yes bool) func(*shop, string, string) error {
		return func(s *shop, _, sub string) error {
			_, err := s.sdk.Subscriptions.Update(sub, &sdk.SubscriptionParams{CancelAtPeriodEnd: &yes})
			return err
		}
	}
	remove := func(s *shop, customer, _ string) error { _, err := s.sdk.Customers.Del(customer, nil); return err }
	const month = 28 * day // from 31 January
	for _, c := range []struct {
		why   string
		steps []step
	}{
		{"it is paid month after month", []step{{0, nil, "pro"}, {month, nil, "pro"}, {31 * day, nil, "pro"}}},
		{"it is cancelled", []step{{0, cancel(true), "pro"}, {month - time.Second, nil, "pro"}, {time.Second, nil, "free"}}},
		{"it is cancelled and resumed", []step{{0, cancel(true), "pro"}, {day, cancel(false), "pro"}, {month, nil, "pro"}}},
		{"a card fails, and the grace ends", []step{{0, card(standin.FailingCard), "pro"}, {month + time.Hour, nil, "pro"}, {7*day - time.Second, nil, "pro"}, {time.Second, nil, "free"}, {30 * day, nil, "free"}}},
		{"a card fails, and a better one pays", []step{{0, card(standin.FailingCard), "pro"}, {month + 2*time.Hour, card(standin.GoodCard), "pro"}, {4 * day, nil, "pro"}, {5 * day, nil, "pro"}}},
		{"a better card pays after the grace", []step{{0, card(standin.FailingCard), "pro"}, {month + 8*day, card(standin.GoodCard), "free"}, {day, nil, "pro"}}},
		{"the customer is deleted", []step{{0, remove, "free"}, {month, nil, "free"}}},
	} {
		s := open(t, 3)
		customer := s.subscribe(t, "pro")
		for i, step := range c.steps {
			s.Advance(step.after)
			if step.do != nil {
				if err := step.do(s, customer, s.Server.Subscriptions(customer)[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.standing(t, customer); got.Plan != step.plan {
				t.Errorf("%s, step %d: %+v, want %s", c.why, i, got, step.plan)
			}
		}
	}
}

func TestTheGraceIsCountedFromTheFirstUnpaidInvoice(t *testing.T) {
	s := open(t, 5)
	customer := s.subscribe(t, "enterprise")
	if err := s.SetCard(customer, standin.FailingCard); err != nil {
		t.Fatal(err)
	}
	s.Advance(28*day + time.Hour)
	want := s.Now().Add(billing.Grace)
	s.Advance(2 * day)
	if got := s.standing(t, customer); got.Plan != "enterprise" || !got.GraceUntil.Equal(want) {
		t.Errorf("%+v, want grace until %s", got, want)
	}
}

func TestWhoHasASubscriptionOpensNoCheckout(t *testing.T) {
	s := open(t, 6)
	customer := s.subscribe(t, "pro")
	if page, err := s.Open(t.Context(), s.wish("ten_1", customer, "enterprise")); err == nil {
		t.Errorf("opened %s", page)
	}
	sub := s.Server.Subscriptions(customer)[0].ID
	if _, err := s.sdk.Subscriptions.Cancel(sub, nil); err != nil {
		t.Fatal(err)
	}
	first, err := s.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
	again, err2 := s.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
	if err != nil || err2 != nil || first != again {
		t.Errorf("%s and then %s: %v, %v", first, again, err, err2)
	}
	other, err := s.Open(t.Context(), s.wish("ten_1", customer, "pro"))
	if err != nil || other == first {
		t.Fatalf("%s: %v", other, err)
	}
	if _, err := s.Checkout(path.Base(first), standin.GoodCard); err == nil {
		t.Error("the page that was left is paid")
	}
}

// Who changes its mind often has a long history, which a wish does not read.
func TestAWishCostsTheSameHoweverManyCameBefore(t *testing.T) {
	s := open(t, 7)
	customer := s.customer(t)
	var calls []int
	for i := range 130 {
		before := s.Calls()
		if _, err := s.Open(t.Context(), s.wish("ten_1", customer, []string{"pro", "enterprise"}[i%2])); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, s.Calls()-before)
	}
	if first, last := calls[1], calls[len(calls)-1]; first != last {
		t.Errorf("%d calls, and %d after 130 wishes", first, last)
	}
	if open := s.opened(t, customer); len(open) != 1 {
		t.Errorf("open are %v", open)
	}
}
