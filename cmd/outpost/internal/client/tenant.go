package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// The routes of this file are the operator's.

// Tenant is a tenant as the API shows it. Times are zero while they are not.
type Tenant struct {
	ID            string       `json:"id"`
	Name          string       `json:"name"`
	Email         string       `json:"email"`
	Plan          string       `json:"plan"`
	PlanSource    string       `json:"plan_source"` // operator or stripe
	State         string       `json:"state"`       // active, suspended or closed
	Overrides     Overrides    `json:"overrides"`
	Limits        TenantLimits `json:"limits"`
	CreatedAt     time.Time    `json:"created_at"`
	ClosedAt      time.Time    `json:"closed_at"`
	DataRemovalAt time.Time    `json:"data_removal_at"` // from when on
	DataRemovedAt time.Time    `json:"data_removed_at"`
	APIKey        string       `json:"api_key"` // the first key itself, of one that was made just now

	raw json.RawMessage
}

// TenantLimits are a plan's limits with the overrides in their place; nil is
// without limit.
type TenantLimits struct {
	RunsPerDay        *int     `json:"runs_per_day"`
	ConcurrentRuns    int      `json:"concurrent_runs"`
	Agents            []string `json:"agents"`
	MaxTimeoutSeconds int      `json:"max_timeout_seconds"`
	Weight            int      `json:"weight"`
	RequestsPerMinute int      `json:"requests_per_minute"`
}

// Overrides are the limits that are not the plan's, each by its name.
type Overrides map[string]any

// UnmarshalJSON keeps the whole answer beside what the client reads of it.
func (t *Tenant) UnmarshalJSON(b []byte) error {
	type plain Tenant
	t.raw = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*plain)(t))
}

// MarshalJSON writes the API's own answer.
func (t Tenant) MarshalJSON() ([]byte, error) { return t.raw, nil }

// NewTenant says what a tenant is to be. Zero fields are left out.
type NewTenant struct {
	Name   string    `json:"name"`
	Email  string    `json:"email"`
	Plan   string    `json:"plan,omitempty"`
	Limits Overrides `json:"limits,omitempty"`
}

// CreateTenant makes a tenant with its first API key, once under an idempotency
// key: asked again it answers as the first time.
func (c *Client) CreateTenant(ctx context.Context, t NewTenant, idempotencyKey string) (made Tenant, replayed bool, err error) {
	replayed, err = c.post(ctx, "/v1/tenants", t, idempotencyKey, &made)
	return made, replayed, err
}

// Tenants returns the oldest n tenants, or all when there are fewer.
func (c *Client) Tenants(ctx context.Context, n int) ([]Tenant, error) {
	return pages[Tenant](ctx, c, "/v1/tenants", url.Values{}, n)
}

// Tenant reads a tenant.
func (c *Client) Tenant(ctx context.Context, id string) (t Tenant, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/tenants/" + url.PathEscape(id)}, &t)
	return t, err
}

// TenantChange names what is to be otherwise. What it does not name stays as it
// is; of Limits a nil takes the override of that name off.
type TenantChange struct {
	Name       string    `json:"name,omitempty"`
	Email      string    `json:"email,omitempty"`
	Plan       string    `json:"plan,omitempty"`
	PlanSource string    `json:"plan_source,omitempty"`
	Limits     Overrides `json:"limits,omitempty"`
	State      string    `json:"state,omitempty"`
}

// ChangeTenant changes a tenant.
func (c *Client) ChangeTenant(ctx context.Context, id string, change TenantChange) (t Tenant, err error) {
	_, err = c.do(ctx, call{method: http.MethodPatch, path: "/v1/tenants/" + url.PathEscape(id), body: change}, &t)
	return t, err
}

// CloseTenant closes a tenant for ever.
func (c *Client) CloseTenant(ctx context.Context, id string) (t Tenant, err error) {
	_, err = c.do(ctx, call{method: http.MethodDelete, path: "/v1/tenants/" + url.PathEscape(id)}, &t)
	return t, err
}
