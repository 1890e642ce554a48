package stripe

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
)

// Check makes sure that Stripe sells each plan at its price of the table, month by
// month and at the plan's cost, and has every price of the past.
func (c *Client) Check(ctx context.Context, prices billing.Prices) error {
	wrong, err := c.Differences(ctx, prices)
	if err == nil && len(wrong) > 0 {
		err = errors.New(wrong[0])
	}
	return err
}

// Differences says in a sentence each what of the table Stripe does not have as
// the plans say. A price of the past has the product of the one that is sold, and
// terms of its own. An error means that Stripe could not be asked.
func (c *Client) Differences(ctx context.Context, prices billing.Prices) (wrong []string, err error) {
	products := map[string]string{} // of what is sold, by plan
	for _, of := range prices {
		price, err := c.price(ctx, of.ID)
		if err != nil {
			return nil, fmt.Errorf("the price %s of the plan %s: %w", of.ID, of.Plan, err)
		}
		product, again := products[of.Plan]
		name, says := "price", []string{"Stripe has no such price."}
		switch {
		case again:
			name = "old price"
			if price != nil {
				says = c.past(price, product)
			}
		case price != nil:
			says = c.terms(price, of.Plan, true)
			product = productOf(price)
		}
		products[of.Plan] = product
		for _, what := range says {
			wrong = append(wrong, fmt.Sprintf("The %s %s of the plan %s: %s", name, of.ID, of.Plan, what))
		}
	}
	return wrong, nil
}

// price returns one of Stripe's; nil where Stripe has none of this id.
func (c *Client) price(ctx context.Context, id string) (*sdk.Price, error) {
	p := &sdk.PriceParams{}
	p.Context = ctx
	price, err := c.api.Prices.Get(id, p)
	var missing *sdk.Error
	if errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
		return nil, nil
	}
	return price, err
}

func productOf(price *sdk.Price) string {
	if price.Product == nil {
		return ""
	}
	return price.Product.ID
}

// past says what of a price speaks against its having been sold as a product;
// nothing where that is not known.
func (c *Client) past(is *sdk.Price, product string) (wrong []string) {
	if got := productOf(is); product != "" && got != product {
		wrong = append(wrong, fmt.Sprintf("it is of the product %s, and what is sold of %s.", got, product))
	}
	if is.Livemode != c.live {
		wrong = append(wrong, fmt.Sprintf("its live mode is %t, and that of the key %t.", is.Livemode, c.live))
	}
	return wrong
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
