package stripe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
	"outpost/shared/plan"
)

// Events are the types of events that Outpost listens to; each makes it look at
// its customer's latest objects.
var Events = []string{
	"checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed",
	"customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted", "customer.subscription.paused", "customer.subscription.resumed",
	"customer.subscription.pending_update_applied", "customer.subscription.pending_update_expired", "customer.subscription.trial_will_end",
	"invoice.paid", "invoice.payment_failed", "invoice.payment_action_required", "invoice.finalization_failed", "invoice.marked_uncollectible", "invoice.voided", "invoice.upcoming",
	"charge.dispute.created", "charge.refunded", "customer.deleted",
}

// Shop is what Outpost has at Stripe.
type Shop struct {
	Prices billing.Prices
	// WebhookSecret is the endpoint's, and empty where the endpoint was there
	// already: Stripe tells it once.
	WebhookSecret string
}

// mark is the metadata by which Outpost finds its own things.
const mark = "outpost"

// Setup makes what is missing at Stripe: a product and a price for each paid
// plan, the billing portal (cards, invoices, cancelling at the period's end), and
// the webhook endpoint with the pinned API version. What is there and right stays;
// a price of another cost is replaced and sold no more, and those who pay it go
// on paying it.
func (c *Client) Setup(ctx context.Context, webhookURL, returnURL string) (Shop, error) {
	prices, err := c.SetUpPrices(ctx)
	if err != nil {
		return Shop{}, err
	}
	shop := Shop{Prices: prices}
	if err := c.SetUpPortal(ctx, returnURL); err != nil {
		return Shop{}, fmt.Errorf("the billing portal: %w", err)
	}
	secret, err := c.setUpEndpoint(ctx, webhookURL)
	if err != nil {
		return Shop{}, fmt.Errorf("the webhook endpoint: %w", err)
	}
	shop.WebhookSecret = secret
	return shop, nil
}

// SetUpPrices is the part of Setup that makes products and prices.
func (c *Client) SetUpPrices(ctx context.Context) (billing.Prices, error) {
	prices := billing.Prices{}
	for _, p := range plan.All() {
		if p.PriceUSD == 0 {
			continue
		}
		id, err := c.setUpPrice(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("the plan %s: %w", p.Name, err)
		}
		prices[id] = p.Name
	}
	return prices, nil
}

func (c *Client) setUpPrice(ctx context.Context, p plan.Plan) (id string, err error) {
	product, key := "outpost_"+p.Name, "outpost_"+p.Name
	get := &sdk.ProductParams{}
	get.Context = ctx
	var missing *sdk.Error
	if _, err := c.api.Products.Get(product, get); errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
		made := &sdk.ProductParams{ID: &product, Name: sdk.String("Outpost " + p.Name), Metadata: map[string]string{mark: "plan"}}
		made.Context = ctx
		if _, err := c.api.Products.New(made); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	list := &sdk.PriceListParams{LookupKeys: []*string{&key}}
	list.Context = ctx
	it := c.api.Prices.List(list)
	old := ""
	if it.Next() {
		old = it.Price().ID
		if c.Check(ctx, billing.Prices{old: p.Name}) == nil {
			return old, nil
		}
	}
	if err := it.Err(); err != nil {
		return "", err
	}
	price := &sdk.PriceParams{Product: &product, Currency: sdk.String(string(sdk.CurrencyUSD)), UnitAmount: sdk.Int64(int64(p.PriceUSD) * 100), LookupKey: &key,
		TransferLookupKey: sdk.Bool(true), Recurring: &sdk.PriceRecurringParams{Interval: sdk.String(string(sdk.PriceRecurringIntervalMonth))}}
	price.Context = ctx
	made, err := c.api.Prices.New(price)
	if err != nil {
		return "", err
	}
	if old != "" {
		off := &sdk.PriceParams{Active: sdk.Bool(false)}
		off.Context = ctx
		_, err = c.api.Prices.Update(old, off)
	}
	return made.ID, err
}

// SetUpPortal is the part of Setup that makes the billing portal.
func (c *Client) SetUpPortal(ctx context.Context, returnURL string) error {
	p := &sdk.BillingPortalConfigurationParams{Metadata: map[string]string{mark: "portal"}, DefaultReturnURL: &returnURL,
		BusinessProfile: &sdk.BillingPortalConfigurationBusinessProfileParams{Headline: sdk.String("Outpost")},
		Features: &sdk.BillingPortalConfigurationFeaturesParams{
			InvoiceHistory:      &sdk.BillingPortalConfigurationFeaturesInvoiceHistoryParams{Enabled: sdk.Bool(true)},
			PaymentMethodUpdate: &sdk.BillingPortalConfigurationFeaturesPaymentMethodUpdateParams{Enabled: sdk.Bool(true)},
			SubscriptionCancel:  &sdk.BillingPortalConfigurationFeaturesSubscriptionCancelParams{Enabled: sdk.Bool(true), Mode: sdk.String("at_period_end")},
		}}
	p.Context = ctx
	list := &sdk.BillingPortalConfigurationListParams{Active: sdk.Bool(true)}
	list.Context = ctx
	it := c.api.BillingPortalConfigurations.List(list)
	for it.Next() {
		if it.BillingPortalConfiguration().Metadata[mark] == "portal" {
			_, err := c.api.BillingPortalConfigurations.Update(it.BillingPortalConfiguration().ID, p)
			return err
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	_, err := c.api.BillingPortalConfigurations.New(p)
	return err
}

// setUpEndpoint returns the secret of an endpoint that it made. One of another
// API version cannot be changed and is an error: nothing would be accepted.
func (c *Client) setUpEndpoint(ctx context.Context, url string) (secret string, err error) {
	list := &sdk.WebhookEndpointListParams{}
	list.Context = ctx
	it := c.api.WebhookEndpoints.List(list)
	for it.Next() {
		w := it.WebhookEndpoint()
		if w.URL != url {
			continue
		}
		if w.APIVersion != sdk.APIVersion {
			return "", fmt.Errorf("%s is of API version %q, not %s: delete it first", w.ID, w.APIVersion, sdk.APIVersion)
		}
		if w.Status == "enabled" && (slices.Equal(w.EnabledEvents, Events) || slices.Equal(w.EnabledEvents, []string{"*"})) {
			return "", nil
		}
		p := &sdk.WebhookEndpointParams{EnabledEvents: sdk.StringSlice(Events), Disabled: sdk.Bool(false)}
		p.Context = ctx
		_, err := c.api.WebhookEndpoints.Update(w.ID, p)
		return "", err
	}
	if err := it.Err(); err != nil {
		return "", err
	}
	p := &sdk.WebhookEndpointParams{URL: &url, APIVersion: sdk.String(sdk.APIVersion), EnabledEvents: sdk.StringSlice(Events), Metadata: map[string]string{mark: "webhook"}}
	p.Context = ctx
	w, err := c.api.WebhookEndpoints.New(p)
	if err != nil {
		return "", err
	}
	return w.Secret, nil
}
