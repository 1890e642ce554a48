package client

import (
	"context"
	"net/http"
	"time"
)

// Billing is how the tenant's plan is paid for.
type Billing struct {
	Plan       string      `json:"plan"`
	Source     string      `json:"plan_source"`
	Status     *string     `json:"status"`
	Sentence   string      `json:"sentence"`
	PeriodEnd  *time.Time  `json:"period_end"`
	GraceUntil *time.Time  `json:"grace_until"`
	Change     *PlanChange `json:"change"`
	CheckedAt  *time.Time  `json:"checked_at"`
}

// PlanChange is what the subscription is set to become.
type PlanChange struct {
	Plan string    `json:"plan"`
	At   time.Time `json:"at"`
	When string    `json:"when"`
}

// Page is a page of Stripe's, to be opened in a browser.
type Page struct {
	URL string `json:"url"`
}

// Billing tells how the plan is paid for.
func (c *Client) Billing(ctx context.Context) (b Billing, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/billing"}, &b)
	return b, err
}

// CheckoutWish is a wish to subscribe; empty URLs are left out.
type CheckoutWish struct {
	Plan       string `json:"plan"`
	SuccessURL string `json:"success_url,omitempty"`
	CancelURL  string `json:"cancel_url,omitempty"`
}

// Checkout opens a page on which to subscribe.
func (c *Client) Checkout(ctx context.Context, w CheckoutWish) (p Page, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/billing/checkout", body: w}, &p)
	return p, err
}

// PlanWish is the plan that a subscription is to have.
type PlanWish struct {
	Plan string `json:"plan"`
}

// ChangePlan says which plan the subscription is to have.
func (c *Client) ChangePlan(ctx context.Context, plan string) (b Billing, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/billing/plan", body: PlanWish{plan}}, &b)
	return b, err
}

// PortalWish is where the billing portal leads back to; empty: where the operator
// has set.
type PortalWish struct {
	ReturnURL string `json:"return_url,omitempty"`
}

// Portal opens the billing portal.
func (c *Client) Portal(ctx context.Context, w PortalWish) (p Page, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/billing/portal", body: w}, &p)
	return p, err
}
