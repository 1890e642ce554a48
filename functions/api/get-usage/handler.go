package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/ledger"
	"outpost/shared/problem"
)

type store interface {
	Usage(ctx context.Context, tenantID string, from, to time.Time) ([]ledger.Group, error)
	Admitted(ctx context.Context, tenantID string, from, to time.Time) (map[string]int, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// maxDays bounds what one answer reads.
const maxDays = 92

// answer is what runs took that ended on the days of a period.
type answer struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	Today period  `json:"today"`
	Total period  `json:"total"`
	By    string  `json:"by"`
	Data  []group `json:"data"`
}

type period struct {
	RunsAdmitted int `json:"runs_admitted"`
	sum
}

type group struct {
	Name string `json:"name"` // of the agent or the model, or the day
	sum
}

type sum struct {
	Runs              runs    `json:"runs"`
	InputTokens       int64   `json:"input_tokens"`
	CachedInputTokens int64   `json:"cached_input_tokens"`
	OutputTokens      int64   `json:"output_tokens"`
	CostUSD           float64 `json:"cost_usd"`
	RunsWithoutPrice  int     `json:"runs_without_price"`
	AgentSeconds      float64 `json:"agent_seconds"`
}

type runs struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	TimedOut  int `json:"timed_out"`
	Cancelled int `json:"cancelled"`
}

// handle sums up the period, and today beside it.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	today := h.clock.Now().UTC().Truncate(24 * time.Hour)
	from, to, err := days(r.Query, today)
	if err != nil {
		return api.Response{}, err
	}
	during, err := h.read(ctx, r.Caller.Tenant, from, to)
	if err != nil {
		return api.Response{}, err
	}
	now := during
	if to.Before(today) || from.After(today) {
		if now, err = h.read(ctx, r.Caller.Tenant, today, today); err != nil {
			return api.Response{}, err
		}
	}
	a := answer{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), By: cmp.Or(r.Query["by"], "agent"),
		Today: now.on(today.Format(time.DateOnly)), Total: during.on("")}
	a.Data = during.by(a.By)
	return api.OK(a), nil
}

// usage is what the store has of some days.
type usage struct {
	groups   []ledger.Group
	admitted map[string]int
}

func (h handler) read(ctx context.Context, tenantID string, from, to time.Time) (u usage, err error) {
	if u.groups, err = h.store.Usage(ctx, tenantID, from, to); err == nil {
		u.admitted, err = h.store.Admitted(ctx, tenantID, from, to)
	}
	return u, err
}

// on sums up a day; every day where it is empty.
func (u usage) on(day string) (p period) {
	var all ledger.Sum
	for _, g := range u.groups {
		if day == "" || g.Day == day {
			all = all.Add(g.Sum)
		}
	}
	for d, n := range u.admitted {
		if day == "" || d == day {
			p.RunsAdmitted += n
		}
	}
	p.sum = view(all)
	return p
}

// by sums up each agent, model or day, in the order of their names.
func (u usage) by(part string) []group {
	parts := map[string]ledger.Sum{}
	for _, g := range u.groups {
		name := map[string]string{"agent": g.Agent, "model": g.Model, "day": g.Day}[part]
		parts[name] = parts[name].Add(g.Sum)
	}
	out := []group{}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, group{name, view(parts[name])})
	}
	return out
}

func view(s ledger.Sum) sum {
	return sum{Runs: runs{s.Succeeded, s.Failed, s.TimedOut, s.Cancelled},
		InputTokens: s.Usage.InputTokens, CachedInputTokens: s.Usage.CachedInputTokens, OutputTokens: s.Usage.OutputTokens,
		CostUSD:          math.Round(s.CostUSD*1e6) / 1e6, // without the dust of adding floats
		RunsWithoutPrice: s.Unpriced, AgentSeconds: float64(s.Milliseconds) / 1000}
}

// days reads the period: this month so far where nothing is said.
func days(q map[string]string, today time.Time) (from, to time.Time, err error) {
	from, to = time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC), today
	for name, day := range map[string]*time.Time{"from": &from, "to": &to} {
		if q[name] == "" {
			continue
		}
		if *day, err = time.Parse(time.DateOnly, q[name]); err != nil {
			return from, to, api.InvalidParameter(problem.Field{Field: name, Message: "must be a day, as 2026-11-23"})
		}
	}
	switch {
	case to.Before(from):
		return from, to, api.InvalidParameter(problem.Field{Field: "to", Message: "must not be before from"})
	case to.Sub(from) >= maxDays*24*time.Hour:
		return from, to, api.InvalidParameter(problem.Field{Field: "from", Message: fmt.Sprintf("must be at most %d days before to", maxDays-1)})
	}
	return from, to, nil
}
