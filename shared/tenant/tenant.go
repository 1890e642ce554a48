// Package tenant says what a tenant is: a paying team, its plan with
// overrides, its state, and its load on the fleet.
package tenant

import (
	"fmt"
	"time"

	"outpost/shared/plan"
)

// State of a tenant. Only an active tenant starts anything.
type State string

// The states of a tenant.
const (
	Active    State = "active"
	Suspended State = "suspended"
	Closed    State = "closed"
)

// Entitlement is what a tenant may do. Every key of the tenant carries a copy,
// so that one read authorises a request; Version tells whether a copy is stale.
type Entitlement struct {
	Plan      string    `json:"plan"`
	Overrides Overrides `json:"overrides"`
	State     State     `json:"state"`
	Version   int64     `json:"limits_version"` // grows with each change of the other fields
}

// Limits returns the plan's limits with the overrides applied. An unknown plan
// is an error: it never falls back to a paid one.
func (e Entitlement) Limits() (plan.Plan, error) {
	p, ok := plan.Lookup(e.Plan)
	if !ok {
		return plan.Plan{}, fmt.Errorf("unknown plan %q", e.Plan)
	}
	return e.Overrides.over(p), nil
}

// Tenant is a paying team.
type Tenant struct {
	ID          string
	Name        string
	Email       string
	Entitlement Entitlement
	PlanSource  PlanSource
	CreatedAt   time.Time
	ClosedAt    time.Time // zero while it is not closed
	QuietAt     time.Time // when a closed tenant was first seen to have no run alive
	RemovingAt  time.Time // when the removal of its data began
	RemovedAt   time.Time // when its data were removed; zero before
}

// PlanSource says who decides about a tenant's plan.
type PlanSource string

// The sources.
const (
	ByOperator PlanSource = "operator"
	ByStripe   PlanSource = "stripe"
)

// Load is what a tenant has on the fleet. Version guards every move.
type Load struct {
	Waiting     int     // runs queued
	Running     int     // runs starting or running
	VirtualTime float64 // the tenant's finish tag in start-time fair queueing
	Version     int64
}

// Caller is the authenticated caller of an API request, as the authorizer
// found it. A tenant id comes from here and from no other part of a request.
type Caller struct {
	Tenant      string
	KeyID       string // public id, key_…
	KeyHash     string // partition of the key's row, for the check inside transactions
	Scopes      []string
	Entitlement Entitlement
}
