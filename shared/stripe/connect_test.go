package stripe_test

import (
	"errors"
	"strings"
	"testing"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

// A function that asks Stripe starts with settings that fit, or not at all.
func TestNoFunctionStartsWithWhatDoesNotFit(t *testing.T) {
	s := open(t, 9)
	good := map[string]string{"OUTPOST_STRIPE_PRICES": s.prices.String(), "OUTPOST_STRIPE_LIVE": "false", "OUTPOST_STRIPE_API_BASE": s.url}
	connect := func(keys platform.Stripe, name, value string) (billing.Prices, error) {
		env := map[string]string{name: value}
		for n, v := range good {
			if n != name {
				env[n] = v
			}
		}
		secrets, err := (platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32)), Stripe: keys}).Secrets()
		if err != nil {
			t.Fatal(err)
		}
		_, prices, err := stripe.Connect(t.Context(), config.New(config.Map(env)), secrets)
		return prices, err
	}
	if prices, err := connect(keys, "", ""); err != nil || prices.String() != s.prices.String() {
		t.Errorf("%v, %v", prices, err)
	}
	if _, err := connect(keys, "OUTPOST_STRIPE_PRICES", ""); !errors.Is(err, stripe.ErrNoBilling) {
		t.Errorf("without prices: %v", err)
	}
	for why, err := range map[string]error{
		"no webhook secret":             second(connect(platform.Stripe{Key: keys.Key}, "", "")),
		"a webhook secret of nobody":    second(connect(platform.Stripe{Key: keys.Key, WebhookSecret: "whsec_"}, "", "")),
		"no key":                        second(connect(platform.Stripe{WebhookSecret: keys.WebhookSecret}, "", "")),
		"a live key in a test of money": second(connect(platform.Stripe{Key: "sk_" + "live_x", WebhookSecret: keys.WebhookSecret}, "", "")),
		"a test key where it is live":   second(connect(keys, "OUTPOST_STRIPE_LIVE", "true")),
		"half a table of prices":        second(connect(keys, "OUTPOST_STRIPE_PRICES", "price_x=pro")),
		"prices that Stripe has not":    second(connect(keys, "OUTPOST_STRIPE_PRICES", "price_x=pro,price_y=enterprise")),
	} {
		if err == nil || strings.Contains(err.Error(), keys.Key) {
			t.Errorf("%s: %v", why, err)
		}
	}
	s.Fail(standin.Fault{Times: -1, Status: 503})
	if _, err := connect(keys, "", ""); err == nil {
		t.Error("it starts though nobody knows whether the prices are there")
	}
}

func second(_ billing.Prices, err error) error { return err }
