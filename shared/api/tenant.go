package api

import (
	"cmp"

	"outpost/shared/agent"
	"outpost/shared/plan"
	"outpost/shared/tenant"
)

// Tenant is a tenant as the operator sees it.
type Tenant struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Email     string           `json:"email"`
	Plan      string           `json:"plan"`
	Source    string           `json:"plan_source"`
	State     string           `json:"state"`
	Overrides tenant.Overrides `json:"overrides"`
	Limits    Limits           `json:"limits"` // the plan's, with the overrides applied
	CreatedAt string           `json:"created_at"`
	ClosedAt  *string          `json:"closed_at"`
	RemovalAt *string          `json:"data_removal_at"` // from when on a closed tenant's data are removed
	RemovedAt *string          `json:"data_removed_at"` // when they had gone
}

// Limits are what a tenant may do. A null means without limit.
type Limits struct {
	RunsPerDay        *int     `json:"runs_per_day"`
	ConcurrentRuns    int      `json:"concurrent_runs"`
	Agents            []string `json:"agents"`
	MaxTimeoutSeconds int      `json:"max_timeout_seconds"`
	Weight            int      `json:"weight"`

	RequestsPerMinute int `json:"requests_per_minute"`
}

// ViewTenant shows a tenant.
func ViewTenant(t tenant.Tenant) (Tenant, error) {
	limits, err := t.Entitlement.Limits()
	if err != nil {
		return Tenant{}, err
	}
	v := Tenant{ID: t.ID, Name: t.Name, Email: t.Email, Plan: t.Entitlement.Plan, Source: string(cmp.Or(t.PlanSource, tenant.ByOperator)), State: string(t.Entitlement.State),
		Overrides: t.Entitlement.Overrides, CreatedAt: stamp(t.CreatedAt),
		ClosedAt: timeOrNull(t.ClosedAt), RemovalAt: timeOrNull(t.RemovalAt()), RemovedAt: timeOrNull(t.RemovedAt),
		Limits: Limits{ConcurrentRuns: limits.ConcurrentRuns, Agents: limits.Included(agent.Names()), MaxTimeoutSeconds: int(limits.MaxTimeout.Seconds()),
			Weight: limits.Weight, RequestsPerMinute: limits.RequestsPerMinute}}
	if limits.RunsPerDay != plan.Unlimited {
		v.Limits.RunsPerDay = &limits.RunsPerDay
	}
	return v, nil
}
