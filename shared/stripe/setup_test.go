package stripe_test

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/shared/clock"
	"outpost/shared/stripe"
)

// empty is an account in which nothing was set up.
func empty(t *testing.T) *shop {
	t.Helper()
	s := open(t, 9)
	var err error
	if s.Server, err = standin.New(standin.Options{Clock: clock.NewManual(start), Seed: 9}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Server)
	t.Cleanup(server.Close)
	s.url = server.URL
	if s.Client, err = stripe.New(stripe.Options{Keys: keys, Base: s.url}); err != nil {
		t.Fatal(err)
	}
	s.reach()
	return s
}

func TestSettingUpTwiceMakesEachThingOnce(t *testing.T) {
	s := empty(t)
	const hook, back = "https://x.example/webhooks/stripe", "https://x.example/"
	first, err := s.Setup(t.Context(), hook, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Prices) != 2 || !strings.HasPrefix(first.WebhookSecret, "whsec_") {
		t.Errorf("%v", first.Prices)
	}
	if err := s.Check(t.Context(), first.Prices); err != nil {
		t.Error(err)
	}
	made := len(s.Events())
	second, err := s.Setup(t.Context(), hook, back)
	if err != nil || !maps.Equal(second.Prices, first.Prices) || second.WebhookSecret != "" {
		t.Errorf("%v, %v, then %v", err, first.Prices, second.Prices)
	}
	if n := len(s.Endpoints()); n != 1 || len(s.Events()) > made+1 { // the portal's date of change
		t.Errorf("%d endpoints, %d events after %d", n, len(s.Events()), made)
	}
	if customer, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com"); err != nil {
		t.Error(err)
	} else if page, err := s.Portal(t.Context(), customer, back); err != nil || !strings.HasPrefix(page, s.url) {
		t.Errorf("%s, %v", page, err)
	}
}

func TestAPriceOfAnotherCostIsReplacedAndSoldNoMore(t *testing.T) {
	s := empty(t)
	product, err := s.sdk.Products.New(&sdk.ProductParams{ID: sdk.String("outpost_pro"), Name: sdk.String("Outpost")})
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.sdk.Prices.New(&sdk.PriceParams{Product: &product.ID, Currency: sdk.String("usd"), UnitAmount: sdk.Int64(1900), LookupKey: sdk.String("outpost_pro"),
		Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := s.Setup(t.Context(), "https://x.example/hook", "https://x.example/")
	if err != nil {
		t.Fatal(err)
	}
	if pro, ok := shop.Prices.Of("pro"); !ok || pro == old.ID {
		t.Errorf("%v", shop.Prices)
	}
	if p, err := s.sdk.Prices.Get(old.ID, nil); err != nil || p.Active || p.LookupKey != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnEndpointIsMadeRightOrRefused(t *testing.T) {
	s := empty(t)
	const hook = "https://x.example/hook"
	w, err := s.sdk.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: sdk.String(hook), APIVersion: sdk.String(sdk.APIVersion), EnabledEvents: sdk.StringSlice([]string{"invoice.paid"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), hook, "https://x.example/"); err != nil {
		t.Fatal(err)
	}
	if got := s.Endpoints(); len(got) != 1 || len(got[0].EnabledEvents) != len(stripe.Events) {
		t.Errorf("%+v", got)
	}
	if _, err := s.sdk.WebhookEndpoints.Del(w.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sdk.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: sdk.String(hook), EnabledEvents: sdk.StringSlice([]string{"*"})}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), hook, "https://x.example/"); err == nil || !strings.Contains(err.Error(), "delete it first") {
		t.Errorf("an endpoint of the account's own version: %v", err)
	}
}
