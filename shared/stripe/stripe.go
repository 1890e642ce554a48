// Package stripe is how Outpost speaks to Stripe: the few calls that billing
// needs, by stripe-go, each safe to make twice.
//
// Two things keep a tenant at one customer and one subscription, whatever is
// clicked twice or answered never. A customer is made under an Idempotency-Key
// that follows from the tenant. A Checkout session is made under one that follows
// from the customer's latest session, after every open one was expired: of two
// callers who saw the same latest session, Stripe lets one make the next. A failure
// that Stripe keeps under such a key spends it: see spent.go. What was begun and
// never paid is given up before, so that nobody pays it beside the next.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/platform"
)

// timeout bounds one call, its tries included in none: a function has 29 s.
const timeout = 8 * time.Second

// Client makes the calls. It is safe for concurrent use.
type Client struct {
	api   *client.API
	live  bool
	clock clock.Clock
}

// Options say which Stripe.
type Options struct {
	Keys platform.Stripe
	Base string // URL of the API; Stripe's own when empty
	// Live allows a key that moves real money, and requires one.
	Live bool
	// Retries is how often a call is made again at once, with the same
	// Idempotency-Key: where no answer came, one of 409, of 503 or of a lock (429),
	// and, unless it is a POST, any other 5xx; or as Stripe-Should-Retry has it. A
	// POST's 500 would only be replayed, and a rate limit only be strained.
	Retries int64
	Clock   clock.Clock // the system's when nil
}

// New returns a client. A key that does not fit the environment is an error, as
// are malformed secrets.
func New(o Options) (*Client, error) {
	if err := o.Keys.Check(); err != nil {
		return nil, err
	}
	if o.Keys.Live() != o.Live {
		return nil, fmt.Errorf("the key of Stripe is live: %t, and this environment: %t", o.Keys.Live(), o.Live)
	}
	config := &sdk.BackendConfig{MaxNetworkRetries: &o.Retries, LeveledLogger: &sdk.LeveledLogger{Level: sdk.LevelNull}, HTTPClient: &http.Client{Timeout: timeout}, EnableTelemetry: sdk.Bool(false)}
	if o.Base != "" {
		config.URL = &o.Base
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	backend := sdk.GetBackendWithConfig(sdk.APIBackend, config)
	return &Client{api: client.New(o.Keys.Key, &sdk.Backends{API: backend, Connect: backend, Uploads: backend}), live: o.Live, clock: o.Clock}, nil
}

// Errors of what a customer has.
var (
	// ErrSubscribed means that the customer has a subscription that goes on: it is
	// changed, not made again.
	ErrSubscribed = errors.New("the customer has a subscription already")
	// ErrNoCustomer means that Stripe has no such customer, or none any more.
	ErrNoCustomer = errors.New("there is no such customer")
)

// Customer makes the customer of a tenant, once however often it is called within
// a day, also where an answer was a failure that Stripe keeps for so long; the caller keeps its id. deleted is how many of the tenant's customers
// were deleted, so that the next one is another. A name or an address that has
// changed since the first call is not an error.
func (c *Client) Customer(ctx context.Context, tenant string, deleted int, name, email string) (id string, err error) {
	if id, err = c.customer(ctx, tenant, deleted); err != nil {
		return "", fmt.Errorf("make the customer: %w", err)
	}
	named := &sdk.CustomerParams{Name: &name, Email: &email}
	named.Context = ctx
	if _, err := c.api.Customers.Update(id, named); err != nil {
		return "", fmt.Errorf("name the customer: %w", err)
	}
	return id, nil
}

// Account returns what Stripe has of a customer now. A customer that Stripe does
// not know, as after its test data were deleted, counts as deleted.
func (c *Client) Account(ctx context.Context, customer string) (billing.Account, error) {
	p := &sdk.CustomerParams{}
	p.Context = ctx
	got, err := c.api.Customers.Get(customer, p)
	var missing *sdk.Error
	if errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
		return billing.Account{Deleted: true}, nil
	}
	if err != nil {
		return billing.Account{}, fmt.Errorf("read the customer: %w", err)
	}
	if got.Deleted {
		return billing.Account{Deleted: true}, nil
	}
	subs, err := c.Subscriptions(ctx, customer)
	return billing.Account{Subscriptions: subs}, err
}

// Cancel ends a subscription at once. One that has ended already is no error.
func (c *Client) Cancel(ctx context.Context, subscription string) error {
	p := &sdk.SubscriptionCancelParams{}
	p.Context = ctx
	_, err := c.api.Subscriptions.Cancel(subscription, p)
	var missing *sdk.Error
	if errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cancel the subscription %s: %w", subscription, err)
	}
	return nil
}

// Subscriptions returns what billing must know of all of a customer's
// subscriptions. A customer who was deleted has only ended ones.
func (c *Client) Subscriptions(ctx context.Context, customer string) ([]billing.Subscription, error) {
	p := &sdk.SubscriptionListParams{Customer: &customer, Status: sdk.String("all")}
	p.Context = ctx
	p.Limit = sdk.Int64(100)
	p.AddExpand("data.schedule")
	var out []billing.Subscription
	it := c.api.Subscriptions.List(p)
	for it.Next() {
		sub, err := c.subscription(ctx, it.Subscription())
		if err != nil {
			return nil, err
		}
		out = append(out, sub)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list the subscriptions: %w", err)
	}
	return out, nil
}

// errMisread means that an answer was not what the pinned version of the API has.
var errMisread = errors.New("is not as API version " + sdk.APIVersion + " has it")

// subscription reads one of Stripe's. What has no item or no period was decoded
// from another version of the API, and is an error.
func (c *Client) subscription(ctx context.Context, s *sdk.Subscription) (billing.Subscription, error) {
	if s.Items == nil || len(s.Items.Data) == 0 || s.Items.Data[0].Price == nil || s.CurrentPeriodEnd == 0 || s.Livemode != c.live {
		return billing.Subscription{}, fmt.Errorf("the subscription %s %w", s.ID, errMisread)
	}
	out := billing.Subscription{ID: s.ID, Status: billing.Status(s.Status), Price: s.Items.Data[0].Price.ID, Created: at(s.Created), PeriodEnd: at(s.CurrentPeriodEnd), CancelAt: at(s.CancelAt)}
	if sch := s.Schedule; sch != nil && sch.CurrentPhase != nil {
		if out.Next = priceAfter(sch); out.Next != "" {
			out.NextAt = at(sch.CurrentPhase.EndDate)
		}
	}
	if u := s.PendingUpdate; u != nil && len(u.SubscriptionItems) > 0 && u.SubscriptionItems[0].Price != nil {
		out.Wanted, out.WantedUntil = u.SubscriptionItems[0].Price.ID, at(u.ExpiresAt)
	}
	if out.Status != billing.PastDue {
		return out, nil
	}
	// The oldest invoice that is still open began the grace; the subscription
	// itself does not say when.
	out.UnpaidSince = at(s.CurrentPeriodStart)
	p := &sdk.InvoiceListParams{Subscription: &s.ID, Status: sdk.String("open")}
	p.Context = ctx
	p.Limit = sdk.Int64(100)
	it := c.api.Invoices.List(p)
	for it.Next() {
		if t := it.Invoice().StatusTransitions; t != nil && t.FinalizedAt != 0 {
			out.UnpaidSince = at(t.FinalizedAt) // newest first: the last is the oldest
		}
	}
	if err := it.Err(); err != nil {
		return out, fmt.Errorf("list the open invoices: %w", err)
	}
	return out, nil
}

func at(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}
