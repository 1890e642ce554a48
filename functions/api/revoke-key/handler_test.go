package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "DELETE", "/v1/keys/{id}", handler{w.Table, c}.handle)
}

func TestAKeyMayEndItself(t *testing.T) {
	w, route := newWorld(t)
	var got api.Key
	route.As(w.Caller, apitest.Request{ID: w.Caller.KeyID}).Into(t, 200, &got)
	if got.State != "revoked" || got.ID != w.Caller.KeyID {
		t.Errorf("%+v", got)
	}
	if k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash); err != nil || k.State != table.KeyRevoked {
		t.Errorf("stored: %+v, %v", k, err)
	}
	if trail := w.Audited("key.revoke"); len(trail) != 1 || trail[0].Actor != w.Caller.KeyID || trail[0].Target != w.Caller.KeyID {
		t.Errorf("the trail: %+v", trail)
	}
	route.As(w.Caller, apitest.Request{ID: w.Caller.KeyID}).Into(t, 200, &got) // again changes nothing
	if len(w.Audited("key.revoke")) != 1 {
		t.Error("the second time is audited too")
	}
}

func TestStrangersRevokeNothing(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromStrangers(w, w.Caller.KeyID)
	route.As(w.Caller, apitest.Request{ID: "key_01KAR5G5M0000000000000000Z"}).Refused(t, problem.NotFound, "")
	if k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash); err != nil || k.State != table.KeyActive {
		t.Errorf("%+v, %v", k, err)
	}
}
