package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "DELETE", "/v1/tenants/{id}", handler{w.Table, quiet{}, c}.handle)
}

// quiet is for tenants who have nothing at Stripe.
type quiet struct{}

func (quiet) Tell(context.Context, string, table.By) {}

func TestAClosedTenantsKeysOpenNothing(t *testing.T) {
	w, route := newWorld(t)
	for range 2 { // again changes nothing that shows
		var got api.Tenant
		route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
		if got.State != "closed" || got.Plan != "pro" || *got.ClosedAt != "2026-11-23T12:00:00Z" || *got.RemovalAt != "2026-12-23T12:00:00Z" || got.RemovedAt != nil {
			t.Errorf("%+v", got)
		}
	}
	k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash)
	w.Must(err)
	if k.Entitlement.State != tenant.Closed { // the authorizer refuses it by that
		t.Errorf("its key: %+v", k.Entitlement)
	}
	if trail := w.Audited("tenant.close"); len(trail) != 1 || trail[0].Actor != "operator" || trail[0].Target != w.Tenant {
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

func TestClosingEndsWhatWaitsAndAsksWhatRuns(t *testing.T) {
	w, route := newWorld(t)
	waits := w.SubmitAs(w.Caller, 3)
	running := w.Running("token")
	for range 2 {
		route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, nil)
		w.Clock.Advance(time.Second)
	}
	for _, r := range waits.Runs {
		got := w.Read(r.ID)
		switch {
		case r.ID == running.ID && (got.State != task.Running || got.CancelRequestedAt.IsZero()):
			t.Errorf("the one that runs is %s, asked at %s", got.State, got.CancelRequestedAt)
		case r.ID != running.ID && got.State != task.Cancelled:
			t.Errorf("one that waits is %s", got.State)
		}
	}
	asked := w.Audited("run.cancel")
	if len(asked) != 1 || asked[0].Actor != "operator" || asked[0].Target != running.ID || asked[0].Detail != settlement.WithTenant || asked[0].RequestID == "" {
		t.Errorf("the trail: %+v", asked)
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 1 {
		t.Errorf("its load: %+v", l)
	}
}

// cut is a store that does not find the tenant's runs.
type cut struct{ *table.Table }

func (cut) InflightOf(context.Context, string) ([]string, error) { return nil, errors.New("no index") }

func TestATenantIsClosedThoughItsRunsCannotBeEnded(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w.SubmitAs(w.Caller, 1)
	var got api.Tenant
	apitest.Serve(t, "DELETE", "/v1/tenants/{id}", handler{cut{w.Table}, quiet{}, c}.handle).AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
	if due, err := w.ClosedDue(t.Context(), c.Now(), 9); err != nil || len(due) != 1 || got.State != "closed" || w.Load().Waiting != 1 {
		t.Errorf("%+v, due are %v, %v", got, due, err)
	}
}

func TestATenantWhoseDataWereRemovedShowsItsTimes(t *testing.T) {
	w, route := newWorld(t)
	route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, nil)
	w.Must(w.MarkQuiet(t.Context(), w.Tenant))
	w.Clock.Advance(tenant.KeptClosed + time.Minute)
	w.Must(w.BeginRemoval(t.Context(), w.Tenant))
	w.Must(w.EndRemoval(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now(), Action: "tenant.remove"}}))
	var got api.Tenant
	route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &got)
	if got.Name != "" || got.Email != "" || got.State != "closed" || *got.RemovalAt != "2026-12-23T12:00:00Z" || *got.RemovedAt != "2026-12-23T12:01:00Z" {
		t.Errorf("%+v", got)
	}
}
