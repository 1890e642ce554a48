package stripe_test

import (
	"errors"
	"strings"
	"testing"

	standin "outpost/infra/local/stripe"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

// Who has to answer while Stripe is down starts then, and asks nothing of Stripe
// before every price is known; what is wrong for certain stops it as ever.
func TestAConnectionIsReadyOnceThePricesAreKnown(t *testing.T) {
	s := open(t, 9)
	later := func(prices string, keys platform.Stripe) (*stripe.Connection, error) {
		secrets, err := (platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32)), Stripe: keys}).Secrets()
		if err != nil {
			t.Fatal(err)
		}
		return stripe.ConnectLater(t.Context(), config.New(config.Map(map[string]string{"OUTPOST_STRIPE_PRICES": prices, "OUTPOST_STRIPE_LIVE": "false", "OUTPOST_STRIPE_API_BASE": s.url})), secrets)
	}
	none := "price_x=pro,price_y=enterprise"
	for why, c := range map[string]struct {
		prices string
		keys   platform.Stripe
	}{
		"prices that Stripe has not": {none, keys}, "no webhook secret": {s.prices.String(), platform.Stripe{Key: keys.Key}},
		"a live key": {s.prices.String(), platform.Stripe{Key: "sk_" + "live_x", WebhookSecret: keys.WebhookSecret}}, "half a table": {"price_x=pro", keys},
	} {
		if _, err := later(c.prices, c.keys); err == nil || errors.Is(err, stripe.ErrDown) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := later("", keys); !errors.Is(err, stripe.ErrNoBilling) {
		t.Errorf("without prices: %v", err)
	}
	s.Fail(standin.Fault{Times: -1, Status: 503})
	right, err := later(s.prices.String(), keys)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := later(none, keys)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := right.Ready(t.Context()); !errors.Is(err, stripe.ErrDown) {
			t.Errorf("while Stripe is down: %v", err)
		}
	}
	s.Heal()
	if err := right.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := wrong.Ready(t.Context()); err == nil || errors.Is(err, stripe.ErrDown) {
		t.Errorf("prices that Stripe has not: %v", err)
	}
	s.Fail(standin.Fault{Times: -1, Status: 503})
	if err := right.Ready(t.Context()); err != nil {
		t.Errorf("it asks again: %v", err)
	}
}
