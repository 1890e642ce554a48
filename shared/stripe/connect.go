package stripe

import (
	"context"
	"errors"
	"sync"

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
	till, err := OpenTill(env, secrets)
	if err != nil {
		return nil, nil, err
	}
	return till.Client, till.Prices, till.Sure(ctx)
}

// Till is Stripe for a function that somebody waits for: it starts while Stripe
// does not answer, and is made sure of before its first use.
type Till struct {
	*Client
	Prices billing.Prices

	mu   sync.Mutex
	sure bool
}

// OpenTill is Connect without a call to Stripe.
func OpenTill(env *config.Reader, secrets *platform.Secrets) (*Till, error) {
	text, base, live := env.String("OUTPOST_STRIPE_PRICES"), env.String("OUTPOST_STRIPE_API_BASE"), env.Bool("OUTPOST_STRIPE_LIVE")
	if text == "" {
		return nil, ErrNoBilling
	}
	prices, err := billing.ParsePrices(text)
	if err != nil {
		return nil, err
	}
	keys, err := secrets.Stripe()
	if err != nil {
		return nil, err
	}
	client, err := New(Options{Keys: keys, Base: base, Live: live, Retries: retries})
	if err != nil {
		return nil, err
	}
	return &Till{Client: client, Prices: prices}, nil
}

// Sure makes sure, once, that Stripe sells every price as the plans say.
func (t *Till) Sure(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sure {
		return nil
	}
	err := t.Check(ctx, t.Prices)
	t.sure = err == nil
	return err
}
