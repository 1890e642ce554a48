// Package checkout is the tenant's side of billing: a page of Stripe's on which to
// subscribe, the way back from there, another plan, and the billing portal.
//
// Nothing here decides what a tenant may do: that is what entitlement.Keeper makes
// of Stripe's objects, which is called wherever something may have changed. A key
// is checked, and the trail written, by one transaction right before Stripe is
// asked to change anything.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// Stripe is what is asked of it.
type Stripe interface {
	// Ready makes sure that what the settings say is what Stripe sells.
	Ready(ctx context.Context) error
	Customer(ctx context.Context, tenant string, deleted int, name, email string) (id string, err error)
	Open(ctx context.Context, w stripe.Checkout) (url string, err error)
	Session(ctx context.Context, id string) (stripe.Session, error)
	Portal(ctx context.Context, customer, returnURL string) (url string, err error)
	Account(ctx context.Context, customer string) (billing.Account, error)
	Move(ctx context.Context, subscription string, m billing.Move, price string) error
}

// Store keeps tenants and their standing.
type Store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
	EventActed(ctx context.Context, event string) (bool, error)
	Intend(ctx context.Context, tenantID string, by table.By) error
	BindCustomer(ctx context.Context, tenantID, customer string, by table.By) (bound string, err error)
}

// Keeper makes a tenant's plan what Stripe says.
type Keeper interface {
	Sync(ctx context.Context, tenantID string, cause entitlement.Cause) (changed bool, err error)
}

// Desk serves tenants. It is safe for concurrent use. The zero value serves
// nobody: there is no billing.
type Desk struct {
	Stripe  Stripe // nil where there is no billing
	Store   Store
	Keeper  Keeper
	Prices  billing.Prices
	Returns billing.Returns
	Ways    Ways
	Clock   clock.Clock
}

// By says who does something, by its action and target in the audit trail.
type By func(action, target string) table.By

// Errors of a wish that cannot be met, beside those of tenant.Subscribe,
// billing.MoveTo, the store, and stripe.ErrSubscribed.
var (
	ErrNoBilling      = errors.New("there is no billing here")
	ErrNoSubscription = errors.New("there is no subscription")
)

// Unavailable means that Stripe did not answer, or not as it should: the same wish
// may be met later.
type Unavailable struct{ Err error }

func (e *Unavailable) Error() string { return "Stripe: " + e.Err.Error() }

func (e *Unavailable) Unwrap() error { return e.Err }

// URLError is a URL that nobody is led back to. Field is its name.
type URLError struct {
	Field string
	Err   error
}

func (e *URLError) Error() string { return e.Field + " " + e.Err.Error() }

// patience bounds all that is asked of Stripe for one request, so that its answer
// comes before the function's end, in 29 s.
const patience = 24 * time.Second

// begin begins a wish.
func (d Desk) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if d.Stripe == nil {
		return ctx, func() {}, ErrNoBilling
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	return ctx, cancel, nil
}

// ready is called before anything is sold.
func (d Desk) ready(ctx context.Context) error {
	if err := d.Stripe.Ready(ctx); err != nil {
		return &Unavailable{err}
	}
	return nil
}

// Wish is a wish to subscribe. Without a SuccessURL the way back ends on a page of
// Outpost's own; without a CancelURL there is no way back before it is paid.
type Wish struct{ Plan, SuccessURL, CancelURL string }

// Open returns the URL of a page of Stripe's on which the tenant subscribes. Who
// asks for the same again gets the same page; a page for something else is closed.
func (d Desk) Open(ctx context.Context, tenantID string, w Wish, by By) (url string, err error) {
	ctx, done, err := d.begin(ctx)
	defer done()
	if err != nil {
		return "", err
	}
	if err := errors.Join(d.allow("success_url", &w.SuccessURL), d.allow("cancel_url", &w.CancelURL)); err != nil {
		return "", err
	}
	price, sold := d.Prices.Of(w.Plan)
	if !sold {
		return "", fmt.Errorf("%w: %s", billing.ErrPlan, w.Plan)
	}
	intent := by("billing.checkout", w.Plan)
	tn, known, err := d.candidate(ctx, tenantID, intent.Audit.Actor)
	if err != nil {
		return "", err
	}
	if err := d.Store.Intend(ctx, tenantID, intent); err != nil {
		return "", err
	}
	page := stripe.Checkout{Tenant: tenantID, Price: price, SuccessURL: d.Ways.Back(tenantID, w.SuccessURL), CancelURL: w.CancelURL}
	if page.Customer, err = d.bind(ctx, tn, known, by); err != nil {
		return "", err
	}
	rebind := func() error {
		known, err := d.look(ctx, tenantID, intent.Audit.Actor)
		if err == nil {
			page.Customer, err = d.bind(ctx, tn, known, by)
		}
		return err
	}
	if tn.PlanSource != tenant.ByStripe && known.Customer != "" { // Stripe decides since now, and was not looked at
		if err := rebind(); err != nil {
			return "", err
		}
	}
	url, err = d.Stripe.Open(ctx, page)
	if errors.Is(err, stripe.ErrNoCustomer) { // deleted since the look
		if err := rebind(); err != nil {
			return "", err
		}
		url, err = d.Stripe.Open(ctx, page)
	}
	if errors.Is(err, stripe.ErrSubscribed) { // since the look at the candidate
		if err := d.sync(ctx, tenantID, intent.Audit.Actor, "a Checkout that is not needed"); err != nil {
			return "", err
		}
		return "", stripe.ErrSubscribed
	}
	if err != nil {
		return "", &Unavailable{err}
	}
	if err := d.still(ctx, tenantID, intent.Audit.Actor); err != nil {
		return "", err
	}
	return url, nil
}

// still makes sure that a tenant may subscribe once its page is open: whoever has
// closed it since, or taken its plan, may have looked for pages before.
func (d Desk) still(ctx context.Context, tenantID, actor string) error {
	tn, err := d.Store.Tenant(ctx, tenantID)
	if err != nil {
		return err
	}
	_, refused := tn.Subscribe()
	if refused == nil && tn.PlanSource != tenant.ByStripe {
		refused = table.ErrConflict
	}
	if refused == nil {
		return nil
	}
	if err := d.sync(ctx, tenantID, actor, "a Checkout that came too late"); err != nil {
		return err
	}
	return refused
}

// candidate returns a tenant that may subscribe and how it stands, by a look at
// Stripe where it is a customer.
func (d Desk) candidate(ctx context.Context, tenantID, actor string) (tn tenant.Tenant, known tenant.Billing, err error) {
	if tn, err = d.Store.Tenant(ctx, tenantID); err != nil {
		return tn, known, err
	}
	if _, err := tn.Subscribe(); err != nil {
		return tn, known, err
	}
	if known, err = d.Store.Billing(ctx, tenantID); err != nil {
		return tn, known, err
	}
	if err := d.ready(ctx); err != nil {
		return tn, known, err
	}
	if known.Customer == "" || tn.PlanSource != tenant.ByStripe {
		return tn, known, nil
	}
	known, err = d.look(ctx, tenantID, actor)
	return tn, known, err
}

// look returns how a tenant that has no subscription stands, by a look at Stripe.
func (d Desk) look(ctx context.Context, tenantID, actor string) (known tenant.Billing, err error) {
	if err := d.sync(ctx, tenantID, actor, "before Checkout"); err != nil {
		return known, err
	}
	if known, err = d.Store.Billing(ctx, tenantID); err == nil && subscribed(known.Standing) {
		err = stripe.ErrSubscribed
	}
	return known, err
}

// bind returns the customer that the tenant has from now on, about whose plan Stripe
// decides from now on: a new one where it has none, or none any more.
func (d Desk) bind(ctx context.Context, tn tenant.Tenant, known tenant.Billing, by By) (customer string, err error) {
	if customer = known.Customer; customer == "" {
		if customer, err = d.Stripe.Customer(ctx, tn.ID, known.Deleted, tn.Name, tn.Email); err != nil {
			return "", &Unavailable{err}
		}
	}
	return d.Store.BindCustomer(ctx, tn.ID, customer, by("billing.customer", customer))
}

// subscribed tells whether a subscription goes on that Checkout would double. One
// whose first payment was never made is not: it is given up for another try.
func subscribed(s billing.Standing) bool {
	return s.Living() && s.Status != billing.Incomplete
}

// Change brings a tenant who has a subscription to a plan, as billing.MoveTo
// decides, and returns how it stands then. It may be asked again. Who leaves leaves
// every subscription: there should be one, and nobody pays for a second unseen.
func (d Desk) Change(ctx context.Context, tenantID, plan string, by By) (tn tenant.Tenant, now tenant.Billing, err error) {
	ctx, done, err := d.begin(ctx)
	defer done()
	if err != nil {
		return tn, now, err
	}
	if tn, err = d.Store.Tenant(ctx, tenantID); err != nil {
		return tn, now, err
	}
	if now, err = d.Store.Billing(ctx, tenantID); err != nil {
		return tn, now, err
	}
	switch {
	case tn.PlanSource != tenant.ByStripe && billing.Cost(tn.Entitlement.Plan) > 0:
		return tn, now, tenant.ErrOperatorsPlan
	case tn.PlanSource != tenant.ByStripe || now.Customer == "":
		return tn, now, ErrNoSubscription
	case tn.Entitlement.State != tenant.Active && billing.Cost(plan) > 0:
		return tn, now, tenant.ErrNotActive
	}
	if err := d.ready(ctx); err != nil {
		return tn, now, err
	}
	sub, living, err := d.subscription(ctx, now.Customer)
	if err != nil {
		return tn, now, err
	}
	move, price, err := sub.MoveTo(plan, d.Prices)
	if err != nil {
		return tn, now, err
	}
	intent := by("billing.plan", plan)
	if err := d.Store.Intend(ctx, tenantID, intent); err != nil {
		return tn, now, err
	}
	for _, s := range living {
		if s.ID != sub.ID && move != billing.Leave {
			continue
		}
		if err := d.Stripe.Move(ctx, s.ID, move, price); errors.Is(err, billing.ErrUnpaid) {
			return tn, now, err
		} else if err != nil {
			return tn, now, &Unavailable{err}
		}
	}
	if err := d.sync(ctx, tenantID, intent.Audit.Actor, "the plan "+plan+" was asked for"); err != nil {
		return tn, now, err
	}
	if tn, err = d.Store.Tenant(ctx, tenantID); err != nil {
		return tn, now, err
	}
	now, err = d.Store.Billing(ctx, tenantID)
	return tn, now, err
}

// subscription is the customer's that decides, among all that live, as Stripe has
// them now.
func (d Desk) subscription(ctx context.Context, customer string) (decides billing.Subscription, living []billing.Subscription, err error) {
	account, err := d.Stripe.Account(ctx, customer)
	if err != nil {
		return decides, nil, &Unavailable{err}
	}
	standing, err := account.Stand(d.Prices, d.Clock.Now())
	if err != nil {
		return decides, nil, &Unavailable{err}
	}
	for _, s := range account.Living() {
		if s.ID == standing.Subscription {
			return s, account.Living(), nil
		}
	}
	return decides, nil, ErrNoSubscription
}

// Portal returns the URL of the tenant's billing portal. It opens for whoever is a
// customer, whatever its state and whoever gives its plan: who pays may always see
// what for, and end it.
func (d Desk) Portal(ctx context.Context, tenantID, returnURL string, by By) (url string, err error) {
	ctx, done, err := d.begin(ctx)
	defer done()
	if err != nil {
		return "", err
	}
	if err := d.allow("return_url", &returnURL); err != nil {
		return "", err
	}
	known, err := d.Store.Billing(ctx, tenantID)
	if err != nil {
		return "", err
	}
	if known.Customer == "" {
		return "", ErrNoSubscription
	}
	if err := d.Store.Intend(ctx, tenantID, by("billing.portal", known.Customer)); err != nil {
		return "", err
	}
	url, err = d.Stripe.Portal(ctx, known.Customer, returnURL)
	if errors.Is(err, stripe.ErrNoCustomer) {
		return "", ErrNoSubscription
	}
	if err != nil {
		return "", &Unavailable{err}
	}
	return url, nil
}

// allow checks a URL of the caller's, and makes it the one that is used.
func (d Desk) allow(field string, url *string) (err error) {
	if *url == "" {
		return nil
	}
	if *url, err = d.Returns.Allow(*url); err != nil {
		return &URLError{field, err}
	}
	return nil
}

// sync is the keeper's. What is wrong with Stripe's answer is Stripe's fault;
// what many do at once is not.
func (d Desk) sync(ctx context.Context, tenantID, actor, why string) error {
	_, err := d.Keeper.Sync(ctx, tenantID, entitlement.Cause{Actor: actor, Detail: why})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, table.ErrStale), errors.Is(err, table.ErrConflict):
		return table.ErrConflict
	}
	return &Unavailable{err}
}

// returning is how the audit trail names who comes back from Checkout.
const returning = "checkout/return"

// Return is called when somebody comes back from Checkout, and by whoever else
// likes to: it acts for a session that Stripe says was gone through, on a way back
// that this Outpost has signed, once. It returns where the tenant wanted to be led
// to, which is empty for its own page and for all who come another way. A tenant
// whose payment is not seen yet is led on: webhooks and the hourly comparison see
// it later.
func (d Desk) Return(ctx context.Context, session, way string) (url string) {
	tenantID, url, ok := d.Ways.Read(way)
	if !ok || d.Stripe == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, returnPatience)
	defer cancel()
	if acted, err := d.Store.EventActed(ctx, session); err == nil && acted {
		return url
	}
	got, err := d.Stripe.Session(ctx, session)
	switch {
	case errors.Is(err, stripe.ErrNoSession), err == nil && (got.Tenant != tenantID || !got.Complete):
		return ""
	case err == nil:
		_, err = d.Keeper.Sync(ctx, tenantID, entitlement.Cause{Actor: returning, Event: session, Detail: "back from Checkout, " + session})
	}
	if err != nil {
		slog.ErrorContext(ctx, "a tenant came back from Checkout and was not synced", "tenant", tenantID, "error", err)
	}
	return url
}

// returnPatience is how long somebody waits for the page behind Checkout at most.
const returnPatience = 10 * time.Second
