package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// bell counts wakeups, and can be broken.
type bell struct {
	mu   sync.Mutex
	rung []string
	err  error
}

func (b *bell) Wake(_ context.Context, tenant string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = append(b.rung, tenant)
	return b.err
}

func newWorld(t *testing.T) (*apitest.World, *apitest.Route, *bell) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	b := &bell{}
	return w, apitest.Serve(t, "PATCH", "/v1/tenants/{id}", handler{w.Table, b, quiet{}, c}.handle), b
}

// quiet is for tenants who have nothing at Stripe.
type quiet struct{}

func (quiet) Tell(context.Context, string, table.By) {}

func TestALimitArrivesHoweverItsNumberIsWritten(t *testing.T) {
	w, route, _ := newWorld(t)
	var got api.Tenant
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"limits":{"concurrent_runs":7.0,"requests_per_minute":1e3,"runs_per_day":-1.0}}`}).Into(t, 200, &got)
	if got.Limits.ConcurrentRuns != 7 || got.Limits.RequestsPerMinute != 1000 || got.Limits.RunsPerDay != nil {
		t.Errorf("%+v", got.Limits)
	}
}

func TestAChangeReachesTheTenantsKeys(t *testing.T) {
	w, route, bell := newWorld(t)
	var got api.Tenant
	a := route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"plan":"enterprise","limits":{"concurrent_runs":40},"state":"suspended","name":"New","email":"n@n.example"}`})
	a.Into(t, 200, &got)
	if got.Plan != "enterprise" || got.Limits.ConcurrentRuns != 40 || got.State != "suspended" || got.Name != "New" || got.Email != "n@n.example" {
		t.Errorf("%+v", got)
	}
	tn, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash)
	w.Must(err)
	if tn.Entitlement.Version != 2 || k.Entitlement != tn.Entitlement {
		t.Errorf("the tenant has %+v, its key %+v", tn.Entitlement, k.Entitlement)
	}
	if !slices.Equal(bell.rung, []string{w.Tenant}) {
		t.Errorf("woken: %v", bell.rung)
	}
	bell.err = errors.New("the queue is down")
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"state":"active"}`}).Into(t, 200, &got)
	if got.State != "active" || got.Plan != "enterprise" || got.Name != "New" {
		t.Errorf("what was not named has changed: %+v", got)
	}
	if trail := w.Audited("tenant.update"); len(trail) != 2 || trail[0].Actor != "operator" {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestASuspendedTenantStartsNothing(t *testing.T) {
	w, route, _ := newWorld(t)
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"state":"suspended"}`}).Into(t, 200, nil)
	s, err := w.Standing(t.Context(), w.Tenant)
	w.Must(err)
	if s.Entitlement.State != tenant.Suspended {
		t.Errorf("the scheduler sees it %s", s.Entitlement.State)
	}
}

// Operators who change different limits at once all get their way: none sends back
// what another has just changed.
func TestOfChangesAtOnceNoneUndoesAnother(t *testing.T) {
	w, route, _ := newWorld(t)
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"limits":{"runs_per_day":7,"weight":3}}`}).Into(t, 200, nil)
	var wait sync.WaitGroup
	for _, body := range []string{`{"limits":{"concurrent_runs":40}}`, `{"limits":{"agents":["codex","claude"]}}`, `{"limits":{"max_timeout_seconds":1200}}`,
		`{"limits":{"weight":null}}`, `{"limits":{"requests_per_minute":99}}`, `{"name":"New"}`, `{"plan":"enterprise"}`, `{"state":"suspended"}`} {
		wait.Go(func() {
			for a := route.AsOperator(apitest.Request{ID: w.Tenant, Body: body}); a.Status != 200; a = route.AsOperator(apitest.Request{ID: w.Tenant, Body: body}) {
				if a.Status != 503 {
					t.Errorf("%s: %d %s", body, a.Status, a.Body)
					return
				}
			}
		})
	}
	wait.Wait()
	tn, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	want := tenant.Overrides{RunsPerDay: 7, ConcurrentRuns: 40, Agents: tenant.AgentsOf("claude", "codex"), MaxTimeoutSeconds: 1200, RequestsPerMinute: 99}
	if e := tn.Entitlement; e.Overrides != want || e.Plan != "enterprise" || e.State != tenant.Suspended || tn.Name != "New" {
		t.Errorf("%+v", tn)
	}
	if k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash); err != nil || k.Entitlement != tn.Entitlement {
		t.Errorf("its key has %+v, %v", k.Entitlement, err)
	}
}

// Whoever changes a tenant at once with others, each change counts once.
func TestChangesAtOnceAllCount(t *testing.T) {
	w, route, _ := newWorld(t)
	var wait sync.WaitGroup
	accepted := make(chan struct{}, 20)
	for i := range 20 {
		wait.Go(func() {
			if a := route.AsOperator(apitest.Request{ID: w.Tenant, Body: fmt.Sprintf(`{"limits":{"concurrent_runs":%d}}`, i+1)}); a.Status == 200 {
				accepted <- struct{}{}
			} else if a.Status != 503 {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
		})
	}
	wait.Wait()
	tn, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	if n := int64(len(accepted)); n == 0 || tn.Entitlement.Version != 1+n {
		t.Errorf("%d changes were accepted, the version is %d", n, tn.Entitlement.Version)
	}
}

// What changes nothing is no change: no event, and no copy of the limits is stale.
func TestAChangeThatChangesNothingLeavesNoTrace(t *testing.T) {
	w, route, _ := newWorld(t)
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"state":"suspended"}`}).Into(t, 200, nil)
	was, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	route.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"state":"suspended"}`}).Into(t, 200, nil)
	now, err := w.Table.Tenant(t.Context(), w.Tenant)
	w.Must(err)
	trail, _, err := w.AuditEvents(t.Context(), w.Tenant, table.AuditRange{Action: "tenant.update"}, 10)
	w.Must(err)
	if now != was || len(trail) != 1 {
		t.Errorf("%+v, then %+v; %d events", was, now, len(trail))
	}
}

func TestAClosedTenantStaysClosed(t *testing.T) {
	w, route, _ := newWorld(t)
	closed, c := w.NewTenant(tenant.Entitlement{Plan: "free", State: tenant.Closed, Version: 3})
	route.AsOperator(apitest.Request{ID: closed, Body: `{"state":"active"}`}).Refused(t, problem.TenantClosed, "")
	if k, err := w.KeyByHash(t.Context(), c.KeyHash); err != nil || k.Entitlement.State != tenant.Closed {
		t.Errorf("its key: %+v, %v", k, err)
	}
}

func TestAChangeThatIsNoneIsRefused(t *testing.T) {
	w, route, _ := newWorld(t)
	for _, body := range []string{`{}`, `{"state":"closed"}`, `{"plan":null}`, `{"limits":{"weight":0}}`, `{"limits":{}}`, `{"limits":null}`, `{"limits":{"runs_per_day":0}}`,
		`{"limits":{"agents":[]}}`, `{"limits":{"agents":["clod"]}}`, `{"limits":{"agents":["claude","claude"]}}`, `{"limits":{"max_timeout_seconds":3601}}`, `{"limits":{"luck":null}}`, `{"version":9}`} {
		if a := route.AsOperator(apitest.Request{ID: w.Tenant, Body: body}); a.Status != 422 {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	route.AsOperator(apitest.Request{ID: "ten_01KAR5G5M0000000000000000Z", Body: `{"state":"active"}`}).Refused(t, problem.NotFound, "")
	route.HidesFromTenants(w, w.Tenant)
}

func TestAPlanOfTheOperatorsIsTheOperatorsUnlessHandedOver(t *testing.T) {
	w, route, _ := newWorld(t)
	for _, c := range []struct{ body, plan, source string }{
		{`{"plan_source":"stripe"}`, "pro", "stripe"}, {`{"name":"A"}`, "pro", "stripe"}, {`{"plan":"enterprise"}`, "enterprise", "operator"},
		{`{"plan":"free","plan_source":"stripe"}`, "free", "stripe"},
	} {
		var got api.Tenant
		if route.AsOperator(apitest.Request{ID: w.Tenant, Body: c.body}).Into(t, 200, &got); got.Plan != c.plan || got.Source != c.source {
			t.Errorf("after %s: %s of %s", c.body, got.Plan, got.Source)
		}
	}
}

// Who takes over a plan that is paid for is told what to do first; nothing else of
// the tenant is in the way.
func TestAPlanIsNotTakenOverWhileASubscriptionLives(t *testing.T) {
	w := entitlementtest.New(t)
	route := apitest.Serve(t, "PATCH", "/v1/tenants/{id}", handler{w.Table, &bell{}, quiet{}, w.Clock}.handle)
	ask := func(body string) apitest.Answer { return route.AsOperator(apitest.Request{ID: w.Tenant, Body: body}) }
	customer := w.Pays("pro")
	w.Sync("")
	refused := func(when string) {
		t.Helper()
		for _, body := range []string{`{"plan":"enterprise"}`, `{"plan":"free"}`, `{"plan_source":"operator"}`, `{"plan":"pro","plan_source":"operator"}`, `{"name":"B","plan":"enterprise","state":"suspended"}`} {
			if p := ask(body).Refused(t, problem.StillSubscribed, ""); !strings.Contains(p.Detail, "outpost billing plan free") {
				t.Errorf("%s, %s: %+v", when, body, p)
			}
		}
		tn, err := w.Table.Tenant(t.Context(), w.Tenant)
		if w.Must(err); tn.PlanSource != tenant.ByStripe || tn.Name == "B" {
			t.Errorf("%s: %+v", when, tn)
		}
		if ids, _, err := w.BilledTenants(t.Context(), "", 10); err != nil || !slices.Contains(ids, w.Tenant) {
			t.Errorf("%s: billed are %v, %v", when, ids, err)
		}
	}
	refused("paid")
	for _, body := range []string{`{"limits":{"concurrent_runs":9}}`, `{"state":"suspended"}`, `{"state":"active","name":"A"}`, `{"plan_source":"stripe"}`} {
		ask(body).Into(t, 200, &api.Tenant{})
	}
	w.Must(w.Stripe.Move(t.Context(), w.Fake.Subscriptions(customer)[0].ID, billing.Leave, ""))
	w.Sync("")
	refused("canceled, and not over")
	w.EndAll(customer)
	refused("over, and nobody has looked")
	w.Sync("")
	var got api.Tenant
	if ask(`{"plan":"enterprise"}`).Into(t, 200, &got); got.Plan != "enterprise" || got.Source != "operator" || w.Plan() != "enterprise" {
		t.Errorf("over: %+v", got)
	}
}
