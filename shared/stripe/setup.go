package stripe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
	"outpost/shared/platform"
)

// Shop is what Outpost has at Stripe.
type Shop struct {
	Prices billing.Prices
	// WebhookSecret is the endpoint's, and empty where the endpoint was there
	// already: Stripe tells it once.
	WebhookSecret string
}

// Site is where this Outpost is.
type Site struct {
	Webhook string // URL that Stripe's events go to
	Return  string // URL that the billing portal leads back to
	Alone   bool   // no other Outpost shares the account: endpoints of other URLs are disabled
}

// Step is one thing that is otherwise at Stripe than declared.
type Step struct {
	What string // a sentence, before it is done
	do   func(ctx context.Context, shop *Shop) error
}

// Work is what a Survey found.
type Work struct {
	Steps []Step
	shop  Shop
}

// mark is the metadata by which Outpost finds its own things.
const mark = "outpost"

// NewSetup returns a client that sets Stripe up: as New does, before there is an
// endpoint with a secret. live must fit the key.
func NewSetup(key, base string, live bool) (*Client, error) {
	keys := platform.Stripe{Key: key, WebhookSecret: "whsec_none_yet"}
	return New(Options{Keys: keys, Base: base, Live: live, Retries: 2})
}

// Setup does at once what Survey finds for what is Declared.
func (c *Client) Setup(ctx context.Context, webhookURL, returnURL string) (Shop, error) {
	w, err := c.Survey(ctx, Declared, Site{Webhook: webhookURL, Return: returnURL})
	if err != nil {
		return Shop{}, err
	}
	return w.Do(ctx, func(Step) {})
}

// SetUpPrices is the part of Setup that makes products and prices.
func (c *Client) SetUpPrices(ctx context.Context) (billing.Prices, error) {
	var w Work
	if err := c.surveyPrices(ctx, Declared, &w); err != nil {
		return nil, err
	}
	shop, err := w.Do(ctx, func(Step) {})
	return shop.Prices, err
}

// SetUpPortal is the part of Setup that makes the billing portal.
func (c *Client) SetUpPortal(ctx context.Context, returnURL string) error {
	var w Work
	if err := c.surveyPortal(ctx, Declared.Portal, returnURL, &w); err != nil {
		return err
	}
	_, err := w.Do(ctx, func(Step) {})
	return err
}

// Survey compares Stripe with a declaration and changes nothing: a product and its
// prices for each paid plan, the billing portal, and the webhook endpoint with its
// API version. What is there and right needs no step. An endpoint of another API
// version cannot be changed and is an error, since nothing of it would be accepted.
func (c *Client) Survey(ctx context.Context, d Declaration, site Site) (Work, error) {
	var w Work
	if err := c.surveyPrices(ctx, d, &w); err != nil {
		return Work{}, err
	}
	if err := c.surveyPortal(ctx, d.Portal, site.Return, &w); err != nil {
		return Work{}, fmt.Errorf("the billing portal: %w", err)
	}
	if err := c.surveyEndpoint(ctx, d.Webhook, site.Webhook, &w); err != nil {
		return Work{}, fmt.Errorf("the webhook endpoint: %w", err)
	}
	if site.Alone { // last, once there is the one that is wanted
		if err := c.surveyStrays(ctx, site.Webhook, &w); err != nil {
			return Work{}, fmt.Errorf("the webhook endpoints of other addresses: %w", err)
		}
	}
	return w, nil
}

// Do takes the steps, telling of each once it is done. What was done before an
// error stays, and the next Survey finds the rest. The shop is as far as it came.
func (w Work) Do(ctx context.Context, done func(Step)) (Shop, error) {
	for _, s := range w.Steps {
		if err := s.do(ctx, &w.shop); err != nil {
			return w.shop, fmt.Errorf("%s %w", s.What, err)
		}
		done(s)
	}
	return w.shop, nil
}

func (w *Work) step(do func(ctx context.Context, shop *Shop) error, format string, args ...any) {
	w.Steps = append(w.Steps, Step{fmt.Sprintf(format, args...), do})
}

// portal finds the portal that a setup made; nil where there is none.
func (c *Client) portal(ctx context.Context) (*sdk.BillingPortalConfiguration, error) {
	list := &sdk.BillingPortalConfigurationListParams{Active: sdk.Bool(true)}
	list.Context = ctx
	list.Limit = sdk.Int64(100)
	it := c.api.BillingPortalConfigurations.List(list)
	for it.Next() {
		if p := it.BillingPortalConfiguration(); p.Metadata[mark] == "portal" {
			return p, nil
		}
	}
	return nil, it.Err()
}

func (c *Client) surveyPortal(ctx context.Context, want Portal, returnURL string, w *Work) error {
	is, err := c.portal(ctx)
	if err != nil {
		return err
	}
	p := &sdk.BillingPortalConfigurationParams{Metadata: map[string]string{mark: "portal"}, DefaultReturnURL: &returnURL,
		BusinessProfile: &sdk.BillingPortalConfigurationBusinessProfileParams{Headline: &want.Headline},
		Features: &sdk.BillingPortalConfigurationFeaturesParams{
			InvoiceHistory:      &sdk.BillingPortalConfigurationFeaturesInvoiceHistoryParams{Enabled: &want.Invoices},
			PaymentMethodUpdate: &sdk.BillingPortalConfigurationFeaturesPaymentMethodUpdateParams{Enabled: &want.Card},
			SubscriptionCancel:  &sdk.BillingPortalConfigurationFeaturesSubscriptionCancelParams{Enabled: &want.CancelAtPeriodEnd, Mode: sdk.String("at_period_end")},
		}}
	if is == nil {
		w.step(func(ctx context.Context, _ *Shop) error {
			p.Context = ctx
			_, err := c.api.BillingPortalConfigurations.New(p)
			return err
		}, "Make the billing portal.")
		return nil
	}
	if wrong := portalDifferences(is, want, returnURL); len(wrong) > 0 {
		p.Features.SubscriptionUpdate = &sdk.BillingPortalConfigurationFeaturesSubscriptionUpdateParams{Enabled: sdk.Bool(false)}
		w.step(func(ctx context.Context, _ *Shop) error {
			p.Context = ctx
			_, err := c.api.BillingPortalConfigurations.Update(is.ID, p)
			return err
		}, "Change the billing portal %s: its %s.", is.ID, strings.Join(wrong, ", "))
	}
	return nil
}

// portalDifferences names what of a portal is otherwise than declared.
func portalDifferences(is *sdk.BillingPortalConfiguration, want Portal, returnURL string) (wrong []string) {
	differs := func(yes bool, name string) {
		if yes {
			wrong = append(wrong, name)
		}
	}
	differs(is.DefaultReturnURL != returnURL, "return URL")
	differs(is.BusinessProfile == nil || is.BusinessProfile.Headline != want.Headline, "headline")
	f := is.Features
	if f == nil {
		return append(wrong, "features")
	}
	differs((f.InvoiceHistory != nil && f.InvoiceHistory.Enabled) != want.Invoices, "invoices")
	differs((f.PaymentMethodUpdate != nil && f.PaymentMethodUpdate.Enabled) != want.Card, "card")
	cancels := f.SubscriptionCancel != nil && f.SubscriptionCancel.Enabled
	differs(cancels != want.CancelAtPeriodEnd || cancels && f.SubscriptionCancel.Mode != sdk.BillingPortalConfigurationFeaturesSubscriptionCancelModeAtPeriodEnd, "cancelling")
	differs(f.SubscriptionUpdate != nil && f.SubscriptionUpdate.Enabled, "changes of plan")
	return wrong
}

func (c *Client) surveyEndpoint(ctx context.Context, want Webhook, url string, w *Work) error {
	list := &sdk.WebhookEndpointListParams{}
	list.Context = ctx
	list.Limit = sdk.Int64(100)
	it := c.api.WebhookEndpoints.List(list)
	var is *sdk.WebhookEndpoint
	for it.Next() {
		switch e := it.WebhookEndpoint(); {
		case e.URL != url:
		case e.APIVersion != sdk.APIVersion:
			return fmt.Errorf("%s is of API version %q, not %s: delete it first", e.ID, e.APIVersion, sdk.APIVersion)
		case is != nil:
			return fmt.Errorf("%s and %s both have the URL %s, each with a secret of its own: delete the one whose secret Outpost does not have", is.ID, e.ID, url)
		default:
			is = e
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	switch {
	case is == nil:
		w.step(func(ctx context.Context, shop *Shop) error {
			p := &sdk.WebhookEndpointParams{URL: &url, APIVersion: sdk.String(sdk.APIVersion), EnabledEvents: sdk.StringSlice(want.Events), Metadata: map[string]string{mark: "webhook"}}
			p.Context = ctx
			made, err := c.api.WebhookEndpoints.New(p)
			if err == nil {
				shop.WebhookSecret = made.Secret
			}
			return err
		}, "Make the webhook endpoint %s, of API version %s, for %d types of events.", url, sdk.APIVersion, len(want.Events))
	case is.Status != "enabled" || !hears(is.EnabledEvents, want.Events):
		w.step(func(ctx context.Context, _ *Shop) error {
			p := &sdk.WebhookEndpointParams{EnabledEvents: sdk.StringSlice(want.Events), Disabled: sdk.Bool(false)}
			p.Context = ctx
			_, err := c.api.WebhookEndpoints.Update(is.ID, p)
			return err
		}, "Enable the webhook endpoint %s, for %d types of events.", is.ID, len(want.Events))
	}
	return nil
}

// hears tells whether an endpoint gets exactly what is wanted, in any order, or
// all there is.
func hears(is, want []string) bool {
	return slices.Equal(is, []string{"*"}) || slices.Equal(slices.Sorted(slices.Values(is)), slices.Sorted(slices.Values(want)))
}
