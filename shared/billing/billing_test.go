package billing_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/infra/local/guarantee"
	"outpost/shared/billing"
)

var prices = billing.Prices{{ID: "price_pro", Plan: "pro"}, {ID: "price_enterprise", Plan: "enterprise"}, {ID: "price_pro_of_2025", Plan: "pro"}, {ID: "price_enterprise_of_2025", Plan: "enterprise"}}

// named is the plan that is in the name of a price of the tests.
func named(price string) string { return strings.Split(price, "_")[1] }

const page = "../../docs/billing.md"

func TestGuaranteeEveryStatusPlanAndBoundaryIsRight(t *testing.T) {
	g := guarantee.For(t, "billing-3", "Each row of the table, made by the code that decides, is what the rules in words say")
	cases, err := billing.Cases(prices)
	if err != nil {
		t.Fatal(err)
	}
	// The rules once more, in other words than the code's.
	keeps := map[billing.Status]func(now, since time.Time) bool{
		"trialing": func(_, _ time.Time) bool { return true },
		"active":   func(_, _ time.Time) bool { return true },
		"past_due": func(now, since time.Time) bool { return now.Unix()-since.Unix() < 604800 },
	}
	wrong := 0
	for _, c := range cases {
		want := "free"
		if keep := keeps[c.Subscription.Status]; keep != nil && keep(c.Now, c.Subscription.UnpaidSince) {
			want = named(c.Subscription.Price)
		}
		if c.Standing.Plan != want || c.Standing.Sentence == "" || !strings.Contains(c.Standing.Sentence, want) {
			wrong++
			t.Errorf("%s %s, %s: %+v, want %s", c.Subscription.Status, c.Subscription.Price, c.Moment, c.Standing, want)
		}
		next := map[string]billing.Standing{"end": {Next: "free", NextAt: c.Subscription.PeriodEnd}, "become pro": {Next: "pro", NextAt: c.Subscription.PeriodEnd},
			"become enterprise once paid": {Next: "enterprise", NextAt: c.Subscription.WantedUntil, NextUnpaid: true}}[c.Will]
		if want == "free" {
			next = billing.Standing{} // nothing is left that could change
		}
		told := c.Subscription.Status == "past_due" || strings.Contains(c.Standing.Sentence, next.Next) || next.Next == "free" && strings.Contains(c.Standing.Sentence, "ends")
		if c.Standing.Next != next.Next || !c.Standing.NextAt.Equal(next.NextAt) || c.Standing.NextUnpaid != next.NextUnpaid || !told {
			wrong++
			t.Errorf("%s %s, set to %s, %s: %+v", c.Subscription.Status, c.Subscription.Price, c.Will, c.Moment, c.Standing)
		}
	}
	if len(cases) != 8*2*(3+1)*3+2*(3+1)*3 {
		t.Errorf("%d rows", len(cases))
	}
	g.Figure("rows", len(cases))
	g.Figure("wrong rows", wrong)
	text := billing.Page(cases)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(page); err != nil || string(kept) != text {
		t.Errorf("%s is not what the code says (UPDATE=1 go test ./shared/billing): %v", page, err)
	}
}

func TestOfSeveralSubscriptionsTheDearestPlanDecidesInAnyOrder(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "subscriptions")
		var subs []billing.Subscription
		best := "free"
		for i := range n {
			s := billing.Subscription{ID: string(rune('a' + i)), Status: rapid.SampledFrom(billing.Statuses).Draw(t, "status"),
				Price: rapid.SampledFrom([]string{"price_pro", "price_enterprise", "price_pro_of_2025", "price_enterprise_of_2025"}).Draw(t, "price"), Created: now.Add(time.Duration(i/2) * time.Hour),
				UnpaidSince: now.Add(-time.Duration(rapid.IntRange(0, 14).Draw(t, "days")) * 24 * time.Hour)}
			subs = append(subs, s)
			gives := s.Status == "active" || s.Status == "trialing" || s.Status == "past_due" && now.Sub(s.UnpaidSince) < billing.Grace
			if p := named(s.Price); gives && best != "enterprise" {
				best = p
			}
		}
		one, err := billing.Decide(subs, prices, now)
		if err != nil || one.Plan != best {
			t.Fatalf("%+v, %v, want %s of %+v", one, err, best, subs)
		}
		shuffled := rapid.Permutation(subs).Draw(t, "order")
		if other, err := billing.Decide(shuffled, prices, now); err != nil || other != one {
			t.Fatalf("%+v in another order, %v; %+v in the first", other, err, one)
		}
	})
}

func TestAnUnknownPriceOrStatusGivesNoPlan(t *testing.T) {
	for why, s := range map[string]billing.Subscription{
		"a price that no plan has":   {ID: "sub_1", Status: "active", Price: "price_other"},
		"no price":                   {ID: "sub_1", Status: "trialing"},
		"a status of another world":  {ID: "sub_1", Status: "asleep", Price: "price_pro"},
		"no status at all, as a nil": {ID: "sub_1", Price: "price_pro"},
	} {
		if got, err := billing.Decide([]billing.Subscription{s}, prices, time.Now()); err == nil || got.Plan != "" {
			t.Errorf("%s: %+v, %v", why, got, err)
		}
	}
	old := []billing.Subscription{{ID: "sub_1", Status: "canceled", Price: "price_that_was_taken_out"}}
	if got, err := billing.Decide(old, prices, time.Now()); err != nil || got.Plan != "free" {
		t.Errorf("an ended subscription to an old price: %+v, %v", got, err)
	}
}

func TestOfThePricesOfAPlanTheFirstIsSold(t *testing.T) {
	got, err := billing.ParsePrices("price_b=enterprise, price_a=pro,price_old=pro,price_older=pro")
	if err != nil || len(got) != 4 {
		t.Fatalf("%v, %v", got, err)
	}
	if price, ok := got.Of("pro"); price != "price_a" || !ok {
		t.Errorf("pro is sold at %q", price)
	}
	if _, ok := got.Of("free"); ok {
		t.Error("the free plan has a price")
	}
	for price, name := range map[string]string{"price_a": "pro", "price_old": "pro", "price_older": "pro", "price_b": "enterprise", "price_none": "", "": ""} {
		if is := got.Plan(price); is != name {
			t.Errorf("%q gives %q", price, is)
		}
	}
	if past := got.Past(); !slices.Equal(past, billing.Prices{{ID: "price_old", Plan: "pro"}, {ID: "price_older", Plan: "pro"}}) {
		t.Errorf("of the past are %v", past)
	}
	text := got.String()
	if again, err := billing.ParsePrices(text); err != nil || text != "price_a=pro,price_old=pro,price_older=pro,price_b=enterprise" || again.String() != text {
		t.Errorf("%s, then %v, %v", text, again, err)
	}
	for why, text := range map[string]string{
		"nothing": "", "no plan": "price_a", "no price": "=pro,price_b=enterprise", "a plan that is free": "price_a=free", "a plan that is not": "price_a=gold",
		"one is missing": "price_a=pro,price_old=pro", "a price of two plans": "price_a=pro,price_a=enterprise", "a price twice": "price_a=pro,price_b=enterprise,price_a=pro",
		"a comma at the end": "price_a=pro,price_b=enterprise,",
	} {
		if got, err := billing.ParsePrices(text); err == nil {
			t.Errorf("%s: %v", why, got)
		}
	}
}
