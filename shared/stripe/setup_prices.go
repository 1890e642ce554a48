package stripe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
	"outpost/shared/plan"
)

func (c *Client) surveyPrices(ctx context.Context, d Declaration, w *Work) error {
	for _, name := range slices.Sorted(maps.Keys(d.Products)) {
		p, _ := plan.Lookup(name)
		there, err := c.surveyProduct(ctx, d.Products[name], w)
		if err == nil {
			err = c.surveyPrice(ctx, d.Products[name], there, p, w)
		}
		if err != nil {
			return fmt.Errorf("the plan %s: %w", name, err)
		}
	}
	return nil
}

func (c *Client) surveyProduct(ctx context.Context, want Product, w *Work) (there bool, err error) {
	get := &sdk.ProductParams{}
	get.Context = ctx
	is, err := c.api.Products.Get(want.ID, get)
	var missing *sdk.Error
	switch {
	case errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing:
		w.step(func(ctx context.Context, _ *Shop) error {
			p := &sdk.ProductParams{ID: &want.ID, Name: &want.Name, Metadata: map[string]string{mark: "plan"}}
			p.Context = ctx
			_, err := c.api.Products.New(p)
			return err
		}, "Make the product %s, %s.", want.ID, want.Name)
		return false, nil
	case err != nil:
		return false, err
	case is.Name != want.Name || !is.Active:
		w.step(func(ctx context.Context, _ *Shop) error {
			p := &sdk.ProductParams{Name: &want.Name, Active: sdk.Bool(true)}
			p.Context = ctx
			_, err := c.api.Products.Update(want.ID, p)
			return err
		}, "Name the product %s %s, and sell it.", want.ID, want.Name)
	}
	return true, nil
}

// surveyPrice looks at the prices of a plan's product that are Outpost's. Sold is
// the one with the plan's lookup key, or else the newest, that has the plan's terms.
// The others are of the past. They stay active at Stripe: a schedule that changes
// the plan of somebody who pays one has to name it (docs/decisions/0019).
func (c *Client) surveyPrice(ctx context.Context, product Product, there bool, p plan.Plan, w *Work) error {
	var ours []*sdk.Price
	if there {
		var err error
		if ours, err = c.pricesOf(ctx, product); err != nil {
			return err
		}
	}
	sold := slices.IndexFunc(ours, func(is *sdk.Price) bool { return len(c.terms(is, p.Name, false)) == 0 })
	if sold >= 0 {
		is := ours[sold]
		ours = slices.Delete(ours, sold, sold+1)
		w.shop.Prices = append(w.shop.Prices, billing.Price{ID: is.ID, Plan: p.Name})
		if !is.Active || is.LookupKey != product.ID {
			w.step(func(ctx context.Context, _ *Shop) error {
				on := &sdk.PriceParams{Active: sdk.Bool(true), LookupKey: &product.ID, TransferLookupKey: sdk.Bool(true)}
				on.Context = ctx
				_, err := c.api.Prices.Update(is.ID, on)
				return err
			}, "Sell the price %s of the plan %s again.", is.ID, p.Name)
		}
	}
	for _, past := range ours {
		w.shop.Prices = append(w.shop.Prices, billing.Price{ID: past.ID, Plan: p.Name})
		if past.Metadata[mark] == "" { // by its lookup key it is not found again
			w.step(func(ctx context.Context, _ *Shop) error {
				own := &sdk.PriceParams{Metadata: map[string]string{mark: "plan"}}
				own.Context = ctx
				_, err := c.api.Prices.Update(past.ID, own)
				return err
			}, "Mark the price %s as one of the plan %s.", past.ID, p.Name)
		}
	}
	if sold < 0 {
		goOn := ""
		if len(ours) > 0 {
			goOn = " Who pays an older one goes on paying that."
		}
		w.step(func(ctx context.Context, shop *Shop) error {
			price := &sdk.PriceParams{Product: &product.ID, Currency: sdk.String(string(sdk.CurrencyUSD)), UnitAmount: sdk.Int64(int64(p.PriceUSD) * 100), LookupKey: &product.ID, TransferLookupKey: sdk.Bool(true),
				Metadata: map[string]string{mark: "plan"}, Recurring: &sdk.PriceRecurringParams{Interval: sdk.String(string(sdk.PriceRecurringIntervalMonth))}}
			price.Context = ctx
			made, err := c.api.Prices.New(price)
			if err == nil {
				shop.Prices = slices.Insert(shop.Prices, 0, billing.Price{ID: made.ID, Plan: p.Name})
			}
			return err
		}, "Make the price of the plan %s: %d USD a month.%s", p.Name, p.PriceUSD, goOn)
	}
	return nil
}

// pricesOf lists the prices of a product that are Outpost's, the one with its
// lookup key first, then the active ones, then the newest.
func (c *Client) pricesOf(ctx context.Context, product Product) (ours []*sdk.Price, err error) {
	for _, active := range []bool{true, false} { // Stripe lists both only when asked for each
		list := &sdk.PriceListParams{Product: &product.ID, Active: &active}
		list.Context = ctx
		list.Limit = sdk.Int64(100)
		it := c.api.Prices.List(list)
		for it.Next() {
			switch is := it.Price(); {
			case is.LookupKey == product.ID:
				ours = slices.Insert(ours, 0, is)
			case is.Metadata[mark] != "":
				ours = append(ours, is)
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return ours, nil
}
