package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"

	"outpost/shared/billing"
)

// Checkout is a wish to subscribe.
type Checkout struct {
	Tenant, Customer, Price string
	SuccessURL, CancelURL   string // no way back without a CancelURL
}

// rounds is how often a session is tried for: each round that is lost was won by
// another caller.
const rounds = 5

// Open returns the URL of a page on which the customer subscribes. It is the
// customer's only open one; who asks for the same again gets the same. A customer
// who has a subscription gets ErrSubscribed, and no page stays open. One whose first
// payment was never made is given up before: else both could be paid.
func (c *Client) Open(ctx context.Context, w Checkout) (url string, err error) {
	var t turn
	for lost := 0; lost < rounds; {
		url, err = c.round(ctx, w, &t)
		switch {
		case errors.Is(err, errAgain):
			lost++
		case !errors.Is(err, errSpent):
			return url, err
		}
	}
	return "", fmt.Errorf("open Checkout while others do the same: %w", err)
}

// errAgain means that another caller, or the customer, was faster.
var errAgain = errors.New("another was faster")

// round looks, and makes a session if nobody was faster. What is open is closed
// before subscriptions are looked at: from then on no old page can be paid.
func (c *Client) round(ctx context.Context, w Checkout, t *turn) (url string, err error) {
	latest, same, err := c.sessions(ctx, w)
	if err != nil {
		return "", err
	}
	t.follow(latest)
	subs, err := c.Subscriptions(ctx, w.Customer)
	if err != nil {
		return "", err
	}
	var unfinished []string
	for _, s := range subs {
		switch {
		case s.Status.Over():
			continue
		case s.Status == billing.Incomplete:
			unfinished = append(unfinished, s.ID)
			continue
		}
		if same != nil {
			if err := c.expire(ctx, same.ID); err != nil {
				return "", err
			}
		}
		return "", ErrSubscribed
	}
	if len(unfinished) > 0 {
		if err := c.giveUp(ctx, unfinished); err != nil {
			return "", err
		}
		return "", errAgain
	}
	if same != nil {
		return same.URL, nil
	}
	return c.open(ctx, w, t)
}

// recent is how many of a customer's sessions are looked at, the newest: one is
// made only when all before it are closed, so that what is open is among them.
const recent = 20

// newest lists a customer's newest sessions, by one call.
func (c *Client) newest(ctx context.Context, customer string) *session.Iter {
	list := &sdk.CheckoutSessionListParams{Customer: &customer}
	list.Context = ctx
	list.Limit, list.Single = sdk.Int64(recent), true
	return c.api.CheckoutSessions.List(list)
}

// sessions expires the customer's open sessions but the one that is wished for,
// and returns that and the id of the latest of all. Without a price none is.
func (c *Client) sessions(ctx context.Context, w Checkout) (latest string, same *sdk.CheckoutSession, err error) {
	latest = "none"
	it := c.newest(ctx, w.Customer)
	for it.Next() {
		s := it.CheckoutSession()
		if latest == "none" {
			latest = s.ID // newest first
		}
		if s.Status != sdk.CheckoutSessionStatusOpen {
			continue
		}
		if same == nil && w.Price != "" && s.Metadata["price"] == w.Price && s.SuccessURL == w.SuccessURL && s.CancelURL == w.CancelURL {
			same = s
			continue
		}
		if err := c.expire(ctx, s.ID); err != nil {
			return "", nil, err
		}
	}
	if err := it.Err(); err != nil {
		return "", nil, fmt.Errorf("list the Checkout sessions: %w", err)
	}
	return latest, same, nil
}

func (c *Client) expire(ctx context.Context, id string) error {
	p := &sdk.CheckoutSessionExpireParams{}
	p.Context = ctx
	_, err := c.api.CheckoutSessions.Expire(id, p)
	var refused *sdk.Error
	if errors.As(err, &refused) && refused.HTTPStatusCode == http.StatusBadRequest {
		return errAgain // it was paid, or expired by another
	}
	if err != nil {
		return fmt.Errorf("expire a Checkout session: %w", err)
	}
	return nil
}

func (c *Client) open(ctx context.Context, w Checkout, t *turn) (string, error) {
	metadata := map[string]string{"tenant": w.Tenant, "price": w.Price}
	p := &sdk.CheckoutSessionParams{Customer: &w.Customer, Mode: sdk.String(string(sdk.CheckoutSessionModeSubscription)), ClientReferenceID: &w.Tenant,
		SuccessURL: &w.SuccessURL, CancelURL: orNone(w.CancelURL), Metadata: metadata, SubscriptionData: &sdk.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{"tenant": w.Tenant}},
		LineItems: []*sdk.CheckoutSessionLineItemParams{{Price: &w.Price, Quantity: sdk.Int64(1)}}}
	p.Context = ctx
	p.SetIdempotencyKey(t.key(w.Customer))
	s, err := c.api.CheckoutSessions.New(p)
	var e *sdk.Error
	switch {
	case errors.As(err, &e) && e.Type == sdk.ErrorTypeIdempotency:
		return "", c.taken(ctx, w.Customer, t) // another made the next session, for something else
	case errors.As(err, &e) && e.HTTPStatusCode == http.StatusConflict:
		return "", errAgain
	case noCustomer(err):
		return "", ErrNoCustomer
	case replayed(err):
		return "", t.spend()
	case err != nil:
		return "", fmt.Errorf("open a Checkout session: %w", err)
	case t.spent > 0:
		return "", errSpent // it is found, and what else became of the spent keys is closed
	}
	return s.URL, nil
}

// Portal returns the URL of the customer's billing portal: the one that Setup made,
// else the account's own. It leads back to returnURL, or to the portal's own setting
// where that is empty. ErrNoCustomer is for a customer who was deleted.
func (c *Client) Portal(ctx context.Context, customer, returnURL string) (string, error) {
	p := &sdk.BillingPortalSessionParams{Customer: &customer, ReturnURL: orNone(returnURL)}
	p.Context = ctx
	ours, err := c.portal(ctx)
	if err != nil {
		return "", fmt.Errorf("find the billing portal: %w", err)
	}
	if ours != nil {
		p.Configuration = &ours.ID
	}
	s, err := c.api.BillingPortalSessions.New(p)
	if noCustomer(err) {
		return "", ErrNoCustomer
	}
	if err != nil {
		return "", fmt.Errorf("open the billing portal: %w", err)
	}
	return s.URL, nil
}

// Session is a Checkout session as somebody comes back from it.
type Session struct {
	Tenant   string
	Complete bool // the page was gone through; what it came to the subscription tells
}

// ErrNoSession means that Stripe has no such session.
var ErrNoSession = errors.New("there is no such Checkout session")

// Session returns a Checkout session.
func (c *Client) Session(ctx context.Context, id string) (Session, error) {
	p := &sdk.CheckoutSessionParams{}
	p.Context = ctx
	s, err := c.api.CheckoutSessions.Get(id, p)
	var missing *sdk.Error
	if errors.As(err, &missing) && missing.Code == sdk.ErrorCodeResourceMissing {
		return Session{}, ErrNoSession
	}
	if err != nil {
		return Session{}, fmt.Errorf("read a Checkout session: %w", err)
	}
	return Session{Tenant: s.Metadata["tenant"], Complete: s.Status == sdk.CheckoutSessionStatusComplete}, nil
}

func noCustomer(err error) bool {
	var e *sdk.Error
	return errors.As(err, &e) && e.Code == sdk.ErrorCodeResourceMissing && e.Param == "customer"
}

// orNone leaves out a parameter that is empty.
func orNone(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
