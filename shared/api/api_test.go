package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/token"
	"outpost/shared/topology"
)

func TestWithoutACallerNoRouteIsOpen(t *testing.T) {
	for _, r := range topology.Routes {
		if r.Authorizer == topology.Open {
			continue
		}
		route := apitest.Serve(t, r.Method, r.Path, unreached(t))
		good := authorizer(t, r)
		without := func(names ...string) map[string]any {
			c := maps.Clone(good)
			for _, n := range names {
				delete(c, n)
			}
			return c
		}
		with := func(name string, v any) map[string]any {
			c := maps.Clone(good)
			c[name] = v
			return c
		}
		contexts := []map[string]any{nil, {}, without("tenant"), with("tenant", ""), with("tenant", 7), with("tenant", "ten_x"), with("tenant", "tsk"+aTenant[3:])}
		switch r.Authorizer {
		case topology.ByOperator:
			caller, err := api.CallerContext(aCaller)
			if err != nil {
				t.Fatal(err)
			}
			contexts = []map[string]any{nil, {}, without("operator"), with("operator", true), with("operator", "yes"), caller}
		case topology.ByAPIKey:
			worker := api.WorkerContext(token.Claims{Kind: token.Run, Tenant: aTenant, Run: id.ForRun(aTask, 1), Attempt: 1})
			contexts = append(contexts, without("key_hash"), without("entitlement"), with("entitlement", "{"), worker, api.OperatorContext())
		default:
			caller, err := api.CallerContext(aCaller)
			if err != nil {
				t.Fatal(err)
			}
			other := token.Run
			if api.WorkerKind(r.Method+" "+r.Path) == token.Run {
				other = token.Ticket
			}
			contexts = append(contexts, without("run"), without("attempt"), with("attempt", "x"), without("kind"), with("kind", string(other)), caller)
		}
		for _, c := range contexts {
			// What a caller writes into headers, query and cookies means nothing.
			e := route.Make(c, apitest.Request{ID: idFor(r), Body: "{}", Header: map[string]string{"X-Tenant": aTenant, "Tenant": aTenant}})
			e.Cookies = []string{"tenant=" + aTenant}
			if a := route.Event(e); a.Status != 401 {
				t.Errorf("%s %s with %v: %d", r.Method, r.Path, c, a.Status)
			}
		}
	}
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	for _, r := range topology.Routes {
		if r.Scope == "" {
			continue
		}
		c := aCaller
		c.Scopes = nil
		for _, s := range tenant.Scopes {
			if s != r.Scope && !(strings.HasSuffix(r.Scope, ":read") && s == strings.TrimSuffix(r.Scope, "read")+"write") {
				c.Scopes = append(c.Scopes, s)
			}
		}
		p := apitest.Serve(t, r.Method, r.Path, unreached(t)).As(c, apitest.Request{ID: idFor(r)}).Refused(t, problem.InsufficientScope, "")
		if !strings.Contains(p.Detail, r.Scope) {
			t.Errorf("%s %s does not say which scope: %s", r.Method, r.Path, p.Detail)
		}
	}
}

func TestACallerSurvivesTheAuthorizersContext(t *testing.T) {
	want := aCaller
	want.Entitlement = tenant.Entitlement{Plan: "pro", Overrides: tenant.Overrides{RunsPerDay: 7, ConcurrentRuns: 2, Agents: tenant.AgentsOf("codex", "aider"), MaxTimeoutSeconds: 70, Weight: 3, RequestsPerMinute: 9}, State: tenant.Suspended, Version: 1 << 60}
	var got tenant.Caller
	route := apitest.Serve(t, "GET", "/v1/agents", func(_ context.Context, r *api.Request) (api.Response, error) {
		got = r.Caller
		return api.Response{}, problem.New(problem.Internal, "far enough")
	})
	context, err := api.CallerContext(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range context { // API Gateway carries strings without loss, and numbers not
		if _, ok := v.(string); !ok {
			t.Errorf("%s is no string", name)
		}
	}
	route.Call(context, apitest.Request{})
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestErrorsBecomeWhatACallerMayRead(t *testing.T) {
	for _, c := range []struct {
		err  error
		code problem.Code
	}{
		{fmt.Errorf("read: %w", table.ErrNotFound), problem.NotFound},
		{fmt.Errorf("write: %w", table.ErrConflict), problem.Busy},
		{errors.New("dial tcp 10.0.0.7: refused"), problem.Internal},
		{context.DeadlineExceeded, problem.Internal},
		{problem.New(problem.PlanLimit, "x"), problem.PlanLimit},
	} {
		route := apitest.Serve(t, "GET", "/v1/runs/{id}", func(context.Context, *api.Request) (api.Response, error) { return api.Response{}, c.err })
		a := route.As(aCaller, apitest.Request{ID: id.ForRun(aTask, 1)})
		p := a.Refused(t, c.code, "")
		if strings.Contains(string(a.Body), "10.0.0.7") || (c.code == problem.Busy) != (a.Header["Retry-After"] == "1") || p.Retryable != (a.Status >= 500) {
			t.Errorf("%v: %s %v", c.err, a.Body, a.Header)
		}
	}
}

func TestOneLogLineARequestWithoutWhatItHeld(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	route := apitest.Serve(t, "POST", "/v1/tasks", func(context.Context, *api.Request) (api.Response, error) {
		return api.Response{}, errors.New("an inner cause")
	})
	a := route.As(aCaller, apitest.Request{Body: `{"repo":"https://h/a/b","prompt":"a private prompt","agents":["claude"]}`,
		Header: map[string]string{"Authorization": "Bearer a-private-key", "Idempotency-Key": "a-private-name"}})
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log.Bytes())
	}
	for name, want := range map[string]any{"request": a.Header["X-Request-Id"], "route": "POST /v1/tasks", "tenant": aTenant, "key": "key_x", "status": 500.0, "code": "internal", "error": "an inner cause"} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if _, ok := line["ms"].(float64); !ok {
		t.Error("the line says not how long it took")
	}
	if strings.Contains(log.String(), "private") {
		t.Errorf("the log holds what the request held: %s", log.Bytes())
	}
}

func TestTheSampleEventsReachTheirHandlers(t *testing.T) {
	for file, want := range map[string]string{
		"api-gateway-get.json":    "ten_01KAR5G5M0000000000000000A 2 cart ",
		"api-gateway-post.json":   "ten_01KAR5G5M0000000000000000A   build-4711",
		"api-gateway-runner.json": "ten_01KAR5G5M0000000000000000A   ",
	} {
		raw, err := os.ReadFile("../../events/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(e.RouteKey, " ")
		got := ""
		route := apitest.Serve(t, method, path, func(_ context.Context, r *api.Request) (api.Response, error) {
			got = strings.Join([]string{r.Caller.Tenant + r.Worker.Tenant, r.Query["limit"], r.Query["tag"], r.Header["idempotency-key"]}, " ")
			if method == "POST" && !json.Valid(r.Body) {
				t.Errorf("%s: body %q", file, r.Body)
			}
			return api.Response{}, problem.New(problem.Internal, "far enough")
		})
		route.Event(e)
		if got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestARouteThatNobodyDeclaredIsNotServed(t *testing.T) {
	if _, err := api.Serve(nil, api.Route{Method: "GET", Path: "/v1/nothing"}); err == nil {
		t.Error("a route without a contract is served")
	}
	lambda, err := api.Serve(nil, api.Route{Method: "GET", Path: "/health", Handler: unreached(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lambda(context.Background(), events.APIGatewayV2HTTPRequest{RouteKey: "GET /v1/tasks"}); err == nil {
		t.Error("a function serves another function's route")
	}
}

func TestRequestIdsAreFresh(t *testing.T) {
	route := apitest.Serve(t, "GET", "/v1/agents", func(context.Context, *api.Request) (api.Response, error) {
		return api.Response{}, problem.New(problem.Internal, "x")
	})
	one, two := route.As(aCaller, apitest.Request{}), route.As(aCaller, apitest.Request{})
	if one.Header["X-Request-Id"] == two.Header["X-Request-Id"] {
		t.Error("two requests have one id")
	}
	if _, err := id.ULID(id.Request, one.Header["X-Request-Id"]); err != nil {
		t.Error(err)
	}
}
