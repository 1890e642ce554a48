package main

import (
	"context"
	"time"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/plan"
	"outpost/shared/table"
)

type store interface {
	Standing(ctx context.Context, tenantID string) (table.Standing, error)
	DayMeter(ctx context.Context, tenantID string, day time.Time) (int, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// limits is where a tenant stands. A null limit is none.
type limits struct {
	Plan              string   `json:"plan"`
	State             string   `json:"state"`
	RunsToday         day      `json:"runs_today"`
	ConcurrentRuns    slots    `json:"concurrent_runs"`
	Agents            []string `json:"agents"`
	MaxTimeoutSeconds int      `json:"max_timeout_seconds"`
	RequestsPerMinute int      `json:"requests_per_minute"`
}

type day struct {
	Limit    *int   `json:"limit"`
	Used     int    `json:"used"`
	ResetsAt string `json:"resets_at"`
}

type slots struct {
	Limit   int `json:"limit"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
}

// handle reads what is true now, not what the authorizer saw up to a minute ago.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	s, err := h.store.Standing(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	p, err := s.Entitlement.Limits()
	if err != nil {
		return api.Response{}, err
	}
	now := h.clock.Now().UTC()
	used, err := h.store.DayMeter(ctx, r.Caller.Tenant, now)
	if err != nil {
		return api.Response{}, err
	}
	v := limits{Plan: p.Name, State: string(s.Entitlement.State), Agents: p.Included(agent.Names()), MaxTimeoutSeconds: int(p.MaxTimeout.Seconds()), RequestsPerMinute: p.RequestsPerMinute,
		RunsToday:      day{Used: used, ResetsAt: now.Truncate(24 * time.Hour).Add(24 * time.Hour).Format(time.RFC3339)},
		ConcurrentRuns: slots{Limit: p.ConcurrentRuns, Running: s.Load.Running, Waiting: s.Load.Waiting}}
	if p.RunsPerDay != plan.Unlimited {
		v.RunsToday.Limit = &p.RunsPerDay
	}
	return api.OK(v), nil
}
