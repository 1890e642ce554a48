package stripe

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"outpost/shared/billing"
	"outpost/shared/config"
	"outpost/shared/platform"
)

// Connection is a client whose prices may still have to be checked.
type Connection struct {
	*Client
	Prices  billing.Prices
	checked atomic.Bool
}

// startWait bounds how long a start waits for Stripe.
const startWait = 4 * time.Second

// ConnectLater is Connect for who has to answer while Stripe is down: a function
// that starts then checks the prices later, by Ready. Whatever is wrong for
// certain is an error as ever, with which the function does not start.
func ConnectLater(ctx context.Context, env *config.Reader, secrets *platform.Secrets) (*Connection, error) {
	client, prices, err := connect(env, secrets)
	if err != nil {
		return nil, err
	}
	c := &Connection{Client: client, Prices: prices}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := c.Ready(ctx); err != nil && !errors.Is(err, ErrDown) {
		return nil, err
	}
	return c, nil
}

// ErrDown means that Stripe does not answer now.
var ErrDown = errors.New("no answer from Stripe")

// Ready makes sure, once, that Stripe sells every price. Nothing is to be asked of
// Stripe or changed by its word before. It returns ErrDown where Stripe does not
// answer; any other error stays until the settings are mended.
func (c *Connection) Ready(ctx context.Context) error {
	if c.checked.Load() {
		return nil
	}
	wrong, err := c.Differences(ctx, c.Prices)
	switch {
	case Down(err):
		return errors.Join(ErrDown, err)
	case err != nil:
		return err
	case len(wrong) > 0:
		return errors.New(wrong[0])
	}
	c.checked.Store(true)
	return nil
}
