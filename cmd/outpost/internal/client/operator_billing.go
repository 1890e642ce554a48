package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// TenantBilling is a tenant's billing beside what Stripe says of it.
type TenantBilling struct {
	Tenant      string              `json:"tenant"`
	Plan        string              `json:"plan"`
	PlanSource  string              `json:"plan_source"`
	State       string              `json:"state"`
	Recorded    RecordedBilling     `json:"recorded"`
	Stripe      *StripeBilling      `json:"stripe"` // nil: Stripe cannot be asked
	Differences []BillingDifference `json:"differences"`
	Note        string              `json:"note"`
}

// Standing is how a tenant stands; empty is what is not known, or is not.
type Standing struct {
	Plan         string     `json:"plan"`
	Subscription string     `json:"subscription"`
	Status       string     `json:"status"`
	PeriodEnd    *time.Time `json:"period_end"`
	GraceUntil   *time.Time `json:"grace_until"`
	Sentence     string     `json:"standing"`
}

// RecordedBilling is what Outpost's latest look at Stripe gave.
type RecordedBilling struct {
	Customer string `json:"customer"`
	Standing
	LookedAt *time.Time `json:"looked_at"`
}

// StripeBilling is what Stripe has now.
type StripeBilling struct {
	Customer string `json:"customer"`
	Deleted  bool   `json:"deleted"`
	Standing
	Subscriptions []StripeSubscription `json:"subscriptions"`
}

// StripeSubscription is a subscription at Stripe.
type StripeSubscription struct {
	ID          string     `json:"id"`
	Status      string     `json:"status"`
	Price       string     `json:"price"`
	Plan        string     `json:"plan"` // empty for a price that no plan has
	CreatedAt   time.Time  `json:"created_at"`
	PeriodEnd   time.Time  `json:"period_end"`
	CancelAt    *time.Time `json:"cancel_at"`
	UnpaidSince *time.Time `json:"unpaid_since"`
}

// BillingDifference is a field in which the two are not one.
type BillingDifference struct {
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Stripe   string `json:"stripe"`
}

// BillingSync is what a sync has changed.
type BillingSync struct {
	Tenant     string        `json:"tenant"`
	Plan       string        `json:"plan"`
	PlanSource string        `json:"plan_source"`
	Sentence   string        `json:"standing"`
	Changed    bool          `json:"changed"`
	Changes    []AuditChange `json:"changes"`
	Note       string        `json:"note"`
}

// Replay tells how many of Stripe's events are tried again, and about how many
// are left.
type Replay struct {
	Moved int `json:"moved"`
	Left  int `json:"left"`
}

// TenantBilling reads a tenant's billing. Only the operator's key may.
func (c *Client) TenantBilling(ctx context.Context, tenant string) (b TenantBilling, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/tenants/" + url.PathEscape(tenant) + "/billing"}, &b)
	return b, err
}

// SyncBilling makes a tenant's plan what Stripe says. Only the operator's key may.
func (c *Client) SyncBilling(ctx context.Context, tenant string) (b BillingSync, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/tenants/" + url.PathEscape(tenant) + "/billing/sync"}, &b)
	return b, err
}

// ReplayStripeEvents has events tried again that were given up, up to 200. Only
// the operator's key may.
func (c *Client) ReplayStripeEvents(ctx context.Context) (r Replay, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/stripe-events/replay"}, &r)
	return r, err
}
