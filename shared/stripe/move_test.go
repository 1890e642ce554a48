package stripe_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/stripe"
)

// wants moves the customer's subscription to a plan, as a caller of Move decides.
func (s *shop) wants(t *testing.T, customer, plan string) error {
	t.Helper()
	subs, err := s.Client.Subscriptions(t.Context(), customer)
	if err != nil {
		return err
	}
	move, price, err := subs[0].MoveTo(plan, s.prices)
	if err != nil {
		return err
	}
	return s.Move(t.Context(), subs[0].ID, move, price)
}

// charged is what a customer has paid, in cents.
func (s *shop) charged(customer string) (cents int64) {
	for _, inv := range s.Invoices(customer) {
		cents += inv.AmountPaid
	}
	return cents
}

func TestEachWishEndsInItsPlanWhateverCameBefore(t *testing.T) {
	const month = 28 * day // from 31 January
	type step struct {
		wants string // empty: a month goes by
		plan  string // at once
		next  string // that is to come
	}
	for why, steps := range map[string][]step{
		"up":                           {{"enterprise", "enterprise", ""}, {"", "enterprise", ""}},
		"up and down":                  {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"", "pro", ""}, {"", "pro", ""}},
		"down and not":                 {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"enterprise", "enterprise", ""}, {"", "enterprise", ""}},
		"down, then up a month later":  {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"", "pro", ""}, {"enterprise", "enterprise", ""}, {"", "enterprise", ""}},
		"down, up, down":               {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"", "pro", ""}, {"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"", "pro", ""}},
		"out":                          {{"free", "pro", "free"}, {"", "free", ""}},
		"out and not":                  {{"free", "pro", "free"}, {"pro", "pro", ""}, {"", "pro", ""}},
		"out, then up":                 {{"free", "pro", "free"}, {"enterprise", "enterprise", ""}, {"", "enterprise", ""}},
		"down, then out":               {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"free", "enterprise", "free"}, {"", "free", ""}},
		"out, then down":               {{"enterprise", "enterprise", ""}, {"free", "enterprise", "free"}, {"pro", "enterprise", "pro"}, {"", "pro", ""}},
		"down, then out a month later": {{"enterprise", "enterprise", ""}, {"pro", "enterprise", "pro"}, {"", "pro", ""}, {"free", "pro", "free"}, {"", "free", ""}},
	} {
		s := open(t, 8)
		customer := s.subscribe(t, "pro")
		for i, step := range steps {
			if step.wants == "" {
				s.Advance(month + 3*day) // over each month's end
			} else {
				paid := int64(-1)
				for range 2 { // whoever says it twice is served and charged once
					if err := s.wants(t, customer, step.wants); err != nil {
						t.Fatalf("%s, step %d: %v", why, i, err)
					}
					if now := s.charged(customer); paid >= 0 && now != paid {
						t.Errorf("%s, step %d: charged %d and then %d", why, i, paid, now)
					} else {
						paid = now
					}
				}
			}
			got := s.standing(t, customer)
			if got.Plan != step.plan || got.Next != step.next || (got.Next != "" && !strings.Contains(got.Sentence, got.NextAt.Format("2 January 2006"))) {
				t.Errorf("%s, step %d: %+v", why, i, got)
			}
		}
	}
}

func TestAnUpgradeThatIsNotPaidChangesNothing(t *testing.T) {
	for why, then := range map[string]struct {
		do         func(*shop, string)
		plan, next string
		open       int // invoices
	}{
		"it is given up by itself": {func(s *shop, _ string) { s.Advance(24 * time.Hour) }, "pro", "", 0},
		"it is not wanted any more": {func(s *shop, c string) {
			if err := s.wants(t, c, "pro"); err != nil {
				t.Error(err)
			}
		}, "pro", "", 0},
		"its tenant leaves": {func(s *shop, c string) {
			if err := s.wants(t, c, "free"); err != nil {
				t.Error(err)
			}
		}, "pro", "free", 0},
		"it is tried again with a better card": {func(s *shop, c string) {
			if err := s.SetCard(c, standin.GoodCard); err != nil {
				t.Error(err)
			}
			if err := s.wants(t, c, "enterprise"); err != nil {
				t.Error(err)
			}
		}, "enterprise", "", 0},
		"it is tried again with the same card": {func(s *shop, c string) {
			if err := s.wants(t, c, "enterprise"); err != nil {
				t.Error(err)
			}
		}, "pro", "enterprise", 1},
	} {
		s := open(t, 9)
		customer := s.subscribe(t, "pro")
		if err := s.SetCard(customer, standin.FailingCard); err != nil {
			t.Fatal(err)
		}
		if err := s.wants(t, customer, "enterprise"); err != nil {
			t.Fatal(err)
		}
		if got := s.standing(t, customer); got.Plan != "pro" || got.Next != "enterprise" || !got.NextUnpaid || !strings.Contains(got.Sentence, "once it is paid") {
			t.Errorf("%s: %+v", why, got)
		}
		then.do(s, customer)
		left := 0
		for _, inv := range s.Invoices(customer) {
			if inv.Status == "open" {
				left++
			}
		}
		if got := s.standing(t, customer); got.Plan != then.plan || got.Next != then.next || left != then.open {
			t.Errorf("%s: %+v, %d open invoices", why, got, left)
		}
	}
}

// Whatever is wished for at once, and whatever answer is lost, one difference is
// charged, and the subscription is what the last wish said.
func TestWishesAtOnceAndLostAnswersAreChargedOnce(t *testing.T) {
	for seed := range uint64(15) {
		s := open(t, seed)
		customer := s.subscribe(t, "pro")
		chance := rand.New(rand.NewPCG(seed, 6))
		for range 6 {
			s.Fail(standin.Fault{Path: []string{"/v1/subscriptions", "/v1/subscription_schedules", "/v1/invoices"}[chance.IntN(3)], Times: 1, LoseAnswer: true})
		}
		until := func(plan string) {
			for range 50 { // a person clicks again until there is an answer
				if s.wants(t, customer, plan) == nil {
					return
				}
			}
			t.Errorf("seed %d: %s is never answered", seed, plan)
		}
		var people sync.WaitGroup
		for range 4 {
			people.Go(func() { until("enterprise") })
		}
		people.Wait()
		if got := s.charged(customer); got != 19900 { // nothing of the period was over
			t.Errorf("seed %d: %d cents", seed, got)
		}
		for range 2 {
			for _, plan := range []string{"pro", "free"} {
				people.Go(func() { until(plan) })
			}
		}
		people.Wait()
		until("pro")
		if got := s.standing(t, customer); got.Plan != "enterprise" || got.Next != "pro" || s.charged(customer) != 19900 || s.living(customer) != 1 {
			t.Errorf("seed %d: %+v, %d cents", seed, got, s.charged(customer))
		}
	}
}

// A day that somebody set in Stripe's dashboard is taken back too.
func TestAnEndThatOthersHaveSetIsTakenBack(t *testing.T) {
	for wants, next := range map[string]string{"free": "free", "pro": "", "enterprise": ""} {
		s := open(t, 10)
		customer := s.subscribe(t, "pro")
		sub := s.Server.Subscriptions(customer)[0].ID
		if _, err := s.sdk.Subscriptions.Update(sub, &sdk.SubscriptionParams{CancelAt: sdk.Int64(start.Add(90 * day).Unix())}); err != nil {
			t.Fatal(err)
		}
		if got := s.standing(t, customer); got.Next != "free" || !got.NextAt.Equal(start.Add(90*day)) {
			t.Errorf("%+v", got)
		}
		if err := s.wants(t, customer, wants); err != nil {
			t.Fatal(err)
		}
		if got := s.standing(t, customer); got.Next != next || (next != "" && !got.NextAt.Equal(got.PeriodEnd)) {
			t.Errorf("%s: %+v", wants, got)
		}
		if err := s.Move(t.Context(), "sub_none", billing.Stay, ""); err == nil {
			t.Error("a subscription that is not there is moved")
		}
	}
}

// A card that is refused at once is the tenant's matter, not an outage.
func TestARefusedCardIsNoOutage(t *testing.T) {
	s := open(t, 11)
	customer := s.subscribe(t, "pro")
	sub := s.Server.Subscriptions(customer)[0].ID
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			tries++
			w.WriteHeader(http.StatusPaymentRequired)
			_, _ = w.Write([]byte(`{"error": {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}}`))
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	c, err := stripe.New(stripe.Options{Keys: keys, Base: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	price, _ := s.prices.Of("enterprise")
	if err := c.Move(t.Context(), sub, billing.Rise, price); !errors.Is(err, billing.ErrUnpaid) || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
