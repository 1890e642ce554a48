package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "DELETE", "/v1/tenants/{id}", handler{w.Table, c}.handle)
}

func TestAClosedTenantsKeysOpenNothing(t *testing.T) {
	w, route := newWorld(t)
	for range 2 { // again changes nothing that shows
		var got api.Tenant
		route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
		if got.State != "closed" || got.Plan != "pro" {
			t.Errorf("%+v", got)
		}
	}
	k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash)
	w.Must(err)
	if k.Entitlement.State != tenant.Closed { // the authorizer refuses it by that
		t.Errorf("its key: %+v", k.Entitlement)
	}
	if trail := w.Audited("tenant.close"); len(trail) != 2 || trail[0].Actor != "operator" || trail[0].Target != w.Tenant {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestNobodyElseClosesATenant(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromTenants(w, w.Tenant)
	route.AsOperator(apitest.Request{ID: "ten_01KAR5G5M0000000000000000Z"}).Refused(t, problem.NotFound, "")
	tn, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	if tn.Entitlement.State != tenant.Active {
		t.Errorf("it is %s", tn.Entitlement.State)
	}
}
