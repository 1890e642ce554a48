package stripe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
)

// Check makes sure that Stripe sells every price of the table, each month by
// month and at the plan's cost.
func (c *Client) Check(ctx context.Context, prices billing.Prices) error {
	wrong, err := c.Differences(ctx, prices)
	if err == nil && len(wrong) > 0 {
		err = errors.New(wrong[0])
	}
	return err
}

// Differences says in a sentence each what of the table Stripe does not sell as
// the plans say. An error means that Stripe could not be asked.
func (c *Client) Differences(ctx context.Context, prices billing.Prices) (wrong []string, err error) {
	for _, id := range slices.Sorted(maps.Keys(prices)) {
		p := &sdk.PriceParams{}
		p.Context = ctx
		price, err := c.api.Prices.Get(id, p)
		var missing *sdk.Error
		if errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
			wrong = append(wrong, fmt.Sprintf("The price %s of the plan %s: Stripe has no such price.", id, prices[id]))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the price %s of the plan %s: %w", id, prices[id], err)
		}
		for _, what := range c.terms(price, prices[id], true) {
			wrong = append(wrong, fmt.Sprintf("The price %s of the plan %s: %s", id, prices[id], what))
		}
	}
	return wrong, nil
}

// terms says what of a price is not as its plan has it; whether it is sold at all
// only when that is asked for.
func (c *Client) terms(is *sdk.Price, plan string, sold bool) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if sold && !is.Active {
		say("it is sold no more (archived).")
	}
	if is.Currency != sdk.CurrencyUSD {
		say("it is in %q, not in USD.", is.Currency)
	}
	if want := int64(billing.Cost(plan)) * 100; is.UnitAmount != want {
		say("it costs %d cents, and the plan %d.", is.UnitAmount, want)
	}
	switch r := is.Recurring; {
	case r == nil:
		say("it is paid once, not each month.")
	case r.Interval != sdk.PriceRecurringIntervalMonth || r.IntervalCount != 1:
		say("it is paid every %d %s, not each month.", r.IntervalCount, r.Interval)
	case r.UsageType == sdk.PriceRecurringUsageTypeMetered:
		say("it is metered, not a flat price.")
	}
	if is.Livemode != c.live {
		say("its live mode is %t, and that of the key %t.", is.Livemode, c.live)
	}
	return wrong
}
