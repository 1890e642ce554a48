package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/tenants/{id}", handler{w.Table}.handle)
}

func TestTheOperatorReadsATenant(t *testing.T) {
	w, route := newWorld(t)
	var got api.Tenant
	route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
	if got.ID != w.Tenant || got.Plan != "pro" || got.State != "active" || got.Limits.ConcurrentRuns != 5 || *got.Limits.RunsPerDay != 100 {
		t.Errorf("%+v", got)
	}
}

func TestNobodyElseReadsATenant(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromTenants(w, w.Tenant)
	for _, id := range []string{"ten_01KAR5G5M0000000000000000Z", "", "nonsense", "tsk" + w.Tenant[3:]} {
		route.AsOperator(apitest.Request{ID: id}).Refused(t, problem.NotFound, "")
	}
}
