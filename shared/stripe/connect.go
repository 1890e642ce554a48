package stripe

import (
	"context"
	"errors"

	"outpost/shared/billing"
	"outpost/shared/config"
	"outpost/shared/platform"
)

// ErrNoBilling means that this Outpost sells nothing: its settings have no prices.
var ErrNoBilling = errors.New("billing is not set up: OUTPOST_STRIPE_PRICES is empty")

// retries is how often a function repeats a call: what fails for longer is the
// queue's and the reconciler's.
const retries = 1

// Connect makes the client of a function by its settings and Stripe's secrets, and
// makes sure that Stripe knows every price. It returns ErrNoBilling where there
// are no prices. Whatever does not fit is an error, with which the function does
// not start.
func Connect(ctx context.Context, env *config.Reader, secrets *platform.Secrets) (*Client, billing.Prices, error) {
	client, prices, err := connect(env, secrets)
	if err != nil {
		return nil, nil, err
	}
	return client, prices, client.Check(ctx, prices)
}

// connect is Connect without asking Stripe.
func connect(env *config.Reader, secrets *platform.Secrets) (*Client, billing.Prices, error) {
	text, base, live := env.String("OUTPOST_STRIPE_PRICES"), env.String("OUTPOST_STRIPE_API_BASE"), env.Bool("OUTPOST_STRIPE_LIVE")
	if text == "" {
		return nil, nil, ErrNoBilling
	}
	prices, err := billing.ParsePrices(text)
	if err != nil {
		return nil, nil, err
	}
	keys, err := secrets.Stripe()
	if err != nil {
		return nil, nil, err
	}
	client, err := New(Options{Keys: keys, Base: base, Live: live, Retries: retries})
	return client, prices, err
}
