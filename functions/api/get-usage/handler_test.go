package main

import (
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/agent"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/usage", handler{w.Table, c}.handle)
}

// run lets one run of the tenant take what it takes.
func run(w *apitest.World, cost *float64) {
	w.T.Helper()
	w.SubmitAs(w.Caller, 1)
	r := w.Running("n")
	w.Clock.Advance(1500 * time.Millisecond)
	r, err := w.StoreResult(w.T.Context(), w.Tenant, r.ID, r.Attempt.Number, r.Attempt.Nonce, task.Result{State: task.Succeeded, CostUSD: cost,
		Usage: agent.Usage{InputTokens: 100, CachedInputTokens: 40, OutputTokens: 7}})
	w.Must(err)
	_, err = w.Settle(w.T.Context(), w.Tenant, table.Settlement{Run: r, Decision: task.Decide(r, w.Clock.Now(), task.DefaultTiming), Now: w.Clock.Now()})
	w.Must(err)
}

func TestUsageTellsTodayThePeriodAndItsParts(t *testing.T) {
	w, route := newWorld(t)
	see := func(c tenant.Caller, query string) (a answer) {
		route.As(c, apitest.Request{Query: query}).Into(t, 200, &a)
		return a
	}
	if a := see(w.Caller, ""); a.From != "2026-11-01" || a.To != "2026-11-23" || a.By != "agent" || len(a.Data) != 0 || a.Total != (period{}) {
		t.Errorf("at first: %+v", a)
	}
	cost := 0.1
	run(w, &cost)
	run(w, nil)
	w.Clock.Advance(24 * time.Hour)
	run(w, &cost)
	run(w, &cost)
	a := see(w.Caller, "")
	want := sum{Runs: runs{Succeeded: 4}, InputTokens: 400, CachedInputTokens: 160, OutputTokens: 28, CostUSD: 0.3, RunsWithoutPrice: 1, AgentSeconds: 6}
	if a.Total != (period{4, want}) || a.Today.RunsAdmitted != 2 || a.Today.CostUSD != 0.2 || len(a.Data) != 1 || a.Data[0] != (group{"claude", want}) {
		t.Errorf("by agent: %+v", a)
	}
	a = see(w.Caller, "by=day&from=2026-11-20&to=2026-11-23")
	if len(a.Data) != 1 || a.Data[0].Name != "2026-11-23" || a.Total.Runs.Succeeded != 2 || a.Total.RunsAdmitted != 2 || a.Today.Runs.Succeeded != 2 || a.Today.RunsAdmitted != 2 {
		t.Errorf("the days before, by day: %+v", a)
	}
	if a = see(w.Caller, "by=model"); len(a.Data) != 1 || a.Data[0].Name != "claude-sonnet-4-5" {
		t.Errorf("by model: %+v", a)
	}
	if a = see(w.Stranger("pro"), ""); a.Total != (period{}) || len(a.Data) != 0 {
		t.Errorf("a stranger sees %+v", a)
	}
}

func TestPeriodsThatAreRefused(t *testing.T) {
	w, route := newWorld(t)
	for query, field := range map[string]string{
		"from=today": "from", "to=2026-13-01": "to", "from=2026-11-24&to=2026-11-23": "to", "from=2026-08-01": "from",
		"by=moon": "by", "from=2026-11-01T00:00:00Z": "from", "until=2026-11-01": "until", "from=2026-02-30": "from", "to=2026-10-31": "to",
	} {
		route.As(w.Caller, apitest.Request{Query: query}).Refused(t, problem.InvalidParameter, field)
	}
	route.As(w.Caller, apitest.Request{Query: "from=2026-08-24&to=2026-11-23"}).Into(t, 200, nil) // 92 days
}
