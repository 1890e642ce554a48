package main

import (
	"fmt"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T, plan string) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, plan)
	return w, apitest.Serve(t, "GET", "/v1/limits", handler{w.Table, c}.handle)
}

func TestLimitsTellWhereTheTenantStands(t *testing.T) {
	w, route := newWorld(t, "pro")
	see := func(c tenant.Caller) (v limits) {
		route.As(c, apitest.Request{}).Into(t, 200, &v)
		return v
	}
	v := see(w.Caller)
	if v.Plan != "pro" || v.State != "active" || *v.RunsToday.Limit != 100 || v.RunsToday.Used != 0 || v.RunsToday.ResetsAt != "2026-11-24T00:00:00Z" ||
		v.ConcurrentRuns != (slots{Limit: 5}) || len(v.Agents) != 5 || v.MaxTimeoutSeconds != 900 {
		t.Errorf("at first: %+v", v)
	}
	w.SubmitAs(w.Caller, 3)
	w.StartNext()
	if v := see(w.Caller); v.RunsToday.Used != 3 || v.ConcurrentRuns != (slots{Limit: 5, Running: 1, Waiting: 2}) {
		t.Errorf("after three runs: %+v", v)
	}
	if v := see(w.Stranger("pro")); v.RunsToday.Used != 0 || v.ConcurrentRuns.Running != 0 {
		t.Errorf("a stranger sees %+v", v)
	}
}

func TestLimitsOfOtherPlansAndOfNow(t *testing.T) {
	w, route := newWorld(t, "enterprise")
	var v limits
	route.As(w.Caller, apitest.Request{}).Into(t, 200, &v)
	if v.RunsToday.Limit != nil || v.ConcurrentRuns.Limit != 20 {
		t.Errorf("enterprise: %+v", v)
	}
	_, free := w.NewTenant(tenant.Entitlement{Plan: "free", Overrides: tenant.Overrides{RunsPerDay: 3, Agents: tenant.AgentsOf("grok", "aider"), MaxTimeoutSeconds: 77}, State: tenant.Suspended, Version: 7})
	free.Scopes = tenant.Scopes
	free.Entitlement = tenant.Entitlement{Plan: "enterprise", State: tenant.Active, Version: 1} // what the authorizer saw before
	route.As(free, apitest.Request{}).Into(t, 200, &v)
	if v.Plan != "free" || v.State != "suspended" || *v.RunsToday.Limit != 3 || fmt.Sprint(v.Agents) != "[grok aider]" || v.MaxTimeoutSeconds != 77 {
		t.Errorf("free, suspended: %+v", v)
	}
}
