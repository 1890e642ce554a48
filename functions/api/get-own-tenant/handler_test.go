package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/settlement/settlementtest"
)

func TestEachTenantReadsItself(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "GET", "/v1/tenant", handler{w.Table}.handle)
	stranger := w.Stranger("free")
	for id, plan := range map[string]string{w.Tenant: "pro", stranger.Tenant: "free"} {
		caller := w.Caller
		if id == stranger.Tenant {
			caller = stranger
		}
		var got api.Tenant
		route.As(caller, apitest.Request{}).Into(t, 200, &got)
		if got.ID != id || got.Plan != plan || got.Source != "operator" || got.ClosedAt != nil {
			t.Errorf("%+v", got)
		}
	}
}
