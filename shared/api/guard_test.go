package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/topology"
)

func guarded(t *testing.T, method, path string, h api.Handler) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start.Add(13 * time.Second))
	w := apitest.New(t, enginetest.Table(t, c), c, "free")
	w.Caller.Entitlement.Overrides.RequestsPerMinute = 5
	return w, apitest.ServeBehind(t, w.Table, method, path, h)
}

func notThere(context.Context, *api.Request) (api.Response, error) {
	return api.Response{}, problem.NotThere()
}

func TestTheRateIsTheTenantsAndComesBackWithTheMinute(t *testing.T) {
	w, route := guarded(t, "GET", "/v1/runs/{id}", notThere)
	other := w.Caller
	other.KeyID += "2" // another key of the tenant
	for left := 4; left >= 0; left-- {
		a := route.As([]tenant.Caller{w.Caller, other}[left%2], apitest.Request{})
		a.Refused(t, problem.NotFound, "")
		if a.Header["RateLimit"] != fmt.Sprintf(`"requests";r=%d;t=47`, left) || a.Header["RateLimit-Policy"] != `"requests";q=5;w=60` {
			t.Errorf("with %d left: %v", left, a.Header)
		}
	}
	a := route.As(w.Caller, apitest.Request{})
	a.Refused(t, problem.RateLimited, "")
	if a.Status != 429 || a.Header["Retry-After"] != "47" || a.Header["RateLimit"] != `"requests";r=0;t=47` {
		t.Errorf("beyond: %d %v", a.Status, a.Header)
	}
	route.As(w.Stranger("free"), apitest.Request{}).Refused(t, problem.NotFound, "")
	w.Clock.Advance(47 * time.Second)
	route.As(w.Caller, apitest.Request{}).Refused(t, problem.NotFound, "")
	if n, err := w.DayMeter(t.Context(), w.Tenant, w.Clock.Now()); err != nil || n != 0 {
		t.Errorf("requests took %d of the quota of runs: %v", n, err)
	}
}

func TestTheRateIsExactUnderManyAtOnce(t *testing.T) {
	var reached atomic.Int64
	answer := func(context.Context, *api.Request) (api.Response, error) {
		reached.Add(1)
		return api.OK(map[string]any{"data": []any{}}), nil
	}
	w, route := guarded(t, "GET", "/v1/agents", answer)
	w.Caller.Entitlement.Overrides.RequestsPerMinute = 23
	caller, err := api.CallerContext(w.Caller)
	w.Must(err)
	lambda, err := api.Serve(w.Table, api.Route{Method: "GET", Path: "/v1/agents", Handler: answer})
	w.Must(err)
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range 64 {
		wg.Go(func() {
			if out, err := lambda(t.Context(), route.Make(caller, apitest.Request{})); err != nil {
				t.Error(err)
			} else if out.StatusCode == http.StatusTooManyRequests {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if reached.Load() != 23 || refused.Load() != 41 {
		t.Errorf("%d were let through and %d refused, of 64 with 23 allowed", reached.Load(), refused.Load())
	}
}

func TestARefusedChangeIsKeptAndFolded(t *testing.T) {
	w, route := guarded(t, "POST", "/v1/tasks", unreached(t))
	w.Caller.Entitlement.Overrides.RequestsPerMinute = 100
	weak := w.Caller
	weak.Scopes = []string{"tasks:read"}
	for range 7 {
		route.As(weak, apitest.Request{Body: `{}`}).Refused(t, problem.InsufficientScope, "")
	}
	for range 3 {
		route.As(w.Caller, apitest.Request{Body: `{"prompt":"a canary"}`}).Refused(t, problem.ValidationFailed, "")
	}
	counts := map[string]int{}
	for _, e := range w.Audited("request.refused") {
		if e.Actor != w.Caller.KeyID || e.RequestID == "" || e.Address != "198.51.100.7" || strings.Contains(fmt.Sprint(e), "canary") {
			t.Errorf("%+v", e)
		}
		counts[e.Detail] += e.Count
	}
	if len(counts) != 2 || counts["insufficient_scope: POST /v1/tasks"] != 7 || counts["validation_failed: POST /v1/tasks"] != 3 {
		t.Errorf("the trail has %v", counts)
	}
}

// Who mistakes the value for the name has it in no event.
func TestAPathThatIsNoneIsNotKept(t *testing.T) {
	w, _ := guarded(t, "GET", "/v1/agents", unreached(t))
	route := apitest.ServeBehind(t, w.Table, "PUT", "/v1/secrets/{name}", unreached(t))
	secret := "sk-" + "canary-0123456789abcdef"
	route.As(w.Caller, apitest.Request{ID: secret, Body: `{"value":"` + secret + `"}`}).Refused(t, problem.NotFound, "")
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Query: secret + "=" + secret, Body: `{"value":"` + secret + `"}`}).Refused(t, problem.InvalidParameter, "")
	if rows := w.Audited("request.refused"); len(rows) != 2 {
		t.Errorf("kept: %+v", rows)
	}
	w.TrailHides(w.Tenant, secret)
}

func TestRefusalsOfAMinuteAreOneRow(t *testing.T) {
	w, _ := guarded(t, "GET", "/v1/agents", unreached(t))
	at := settlementtest.Start
	note := func(reason, actor string, at time.Time) {
		w.Must(w.NoteRefusal(t.Context(), w.Tenant, reason, audit.Event{At: at, Action: "request.refused", Actor: actor, Target: at.Format(time.TimeOnly)}))
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { note("not_found", "key_a", at.Add(59*time.Second)) })
	}
	wg.Wait()
	note("not_found", "key_a", at.Add(time.Minute))
	note("not_found", "key_b", at)
	note("plan_limit", "key_a", at)
	rows := w.Audited("request.refused")
	total := 0
	for _, e := range rows {
		total += e.Count
	}
	if len(rows) != 4 || total != 23 {
		t.Errorf("%d rows of %d refusals: %+v", len(rows), total, rows)
	}
}

func TestWhatIsReadOrFailsOrHasNoTenantIsNotKept(t *testing.T) {
	w, route := guarded(t, "GET", "/v1/runs/{id}", notThere)
	route.As(w.Caller, apitest.Request{}).Refused(t, problem.NotFound, "")
	broken := apitest.ServeBehind(t, w.Table, "POST", "/v1/runs/{id}/cancel", func(context.Context, *api.Request) (api.Response, error) { return api.Response{}, fmt.Errorf("broken") })
	broken.As(w.Caller, apitest.Request{ID: idFor(topology.Route{Path: "/v1/runs/"})}).Refused(t, problem.Internal, "")
	broken.Call(nil, apitest.Request{}).Refused(t, problem.Unauthorized, "")
	if rows := w.Audited("request.refused"); len(rows) != 0 {
		t.Errorf("kept: %+v", rows)
	}
	operators := apitest.ServeBehind(t, w.Table, "PATCH", "/v1/tenants/{id}", func(context.Context, *api.Request) (api.Response, error) {
		return api.Response{}, problem.New(problem.TenantClosed, "Closed.")
	})
	operators.AsOperator(apitest.Request{ID: w.Tenant, Body: `{"name":"x"}`}).Refused(t, problem.TenantClosed, "")
	if rows := w.Audited("request.refused"); len(rows) != 1 || rows[0].Actor != api.Operator {
		t.Errorf("of the operator: %+v", rows)
	}
}

func TestARouteOfATenantIsNotServedWithoutItsGuard(t *testing.T) {
	for _, r := range []api.Route{{Method: "GET", Path: "/v1/agents"}, {Method: "GET", Path: "/v1/tenants"}} {
		if _, err := api.Serve(nil, r); err == nil {
			t.Errorf("%s %s is served without a guard", r.Method, r.Path)
		}
	}
	for _, p := range plan.All() {
		if p.RequestsPerMinute < 1 {
			t.Errorf("the plan %s allows no request", p.Name)
		}
	}
}

// usedUp is the guard of a tenant whose minute is full.
type usedUp struct{}

func (usedUp) CountRequest(_ context.Context, _ string, limit int) (table.RateWindow, error) {
	return table.RateWindow{Limit: limit, Length: time.Minute, Resets: 40 * time.Second}, table.ErrRateLimited
}

func (usedUp) NoteRefusal(context.Context, string, string, audit.Event) error { return nil }

func TestEveryRouteOfATenantHasTheRateLimitInItsContract(t *testing.T) {
	for _, r := range topology.Routes {
		if r.Authorizer == topology.ByAPIKey {
			apitest.ServeBehind(t, usedUp{}, r.Method, r.Path, unreached(t)).As(aCaller, apitest.Request{ID: idFor(r)}).Refused(t, problem.RateLimited, "")
		}
	}
}
