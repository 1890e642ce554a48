package stripe

import (
	"context"

	sdk "github.com/stripe/stripe-go/v76"
)

// Stray is a webhook endpoint that a setup has made for another address: an
// Outpost's that shares the account, or this one's from before its address changed.
// While it is enabled, and nothing answers there, each event counts as undelivered.
type Stray struct{ ID, URL string }

// Strays are the enabled endpoints of other addresses than webhookURL.
func (c *Client) Strays(ctx context.Context, webhookURL string) (out []Stray, err error) {
	list := &sdk.WebhookEndpointListParams{}
	list.Context = ctx
	list.Limit = sdk.Int64(100)
	it := c.api.WebhookEndpoints.List(list)
	for it.Next() {
		if e := it.WebhookEndpoint(); e.Metadata[mark] == "webhook" && e.Status == "enabled" && e.URL != webhookURL {
			out = append(out, Stray{e.ID, e.URL})
		}
	}
	return out, it.Err()
}

// surveyStrays has them disabled. Nothing but being asked tells whose they are.
func (c *Client) surveyStrays(ctx context.Context, webhookURL string, w *Work) error {
	strays, err := c.Strays(ctx, webhookURL)
	for _, e := range strays {
		w.step(func(ctx context.Context, _ *Shop) error {
			p := &sdk.WebhookEndpointParams{Disabled: sdk.Bool(true)}
			p.Context = ctx
			_, err := c.api.WebhookEndpoints.Update(e.ID, p)
			return err
		}, "Disable the webhook endpoint %s of another address, %s.", e.ID, e.URL)
	}
	return err
}
