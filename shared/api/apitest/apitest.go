// Package apitest calls a route as API Gateway does, for tests of handlers:
// through the same checks as in production, on a tenant of a real table. Each
// answer is held against the contract, whatever a test looks at.
package apitest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/contract"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/token"
)

// World is a tenant with its key, on a real table.
type World struct {
	*settlementtest.World
	Caller tenant.Caller
}

// New makes a world on a table, with a tenant of that plan whose key holds every
// scope.
func New(t testing.TB, store *table.Table, c *clock.Manual, plan string) *World {
	w := &World{World: settlementtest.New(t, store, c, plan)}
	w.Caller = w.Stranger(plan)
	w.Tenant = w.Caller.Tenant
	return w
}

// Stranger makes another tenant on the same table.
func (w *World) Stranger(plan string) tenant.Caller {
	_, c := w.NewTenant(tenant.Entitlement{Plan: plan, State: tenant.Active, Version: 1})
	c.Scopes = tenant.Scopes
	return c
}

// SetSecrets stores something under names of a tenant's secrets; every provider's
// where none is named. It was sealed by nobody and cannot be opened.
func (w *World) SetSecrets(c tenant.Caller, names ...string) {
	w.T.Helper()
	if len(names) == 0 {
		for _, p := range agent.Providers() {
			names = append(names, p.Secret)
		}
	}
	for _, name := range names {
		now := w.Clock.Now()
		w.Must(w.PutSecret(context.Background(), c.Tenant, table.Sealed{Name: name, Version: 1, Ciphertext: []byte{1}, WrappedKey: []byte{1}, SetAt: now},
			table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "secret.put", Actor: "test"}}))
	}
}

// Request is what a caller sends.
type Request struct {
	ID     string // the {id} or {name} of the path
	Query  string // raw
	Header map[string]string
	Body   string
}

// Answer is what a caller gets.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Route is one route with its handler.
type Route struct {
	t      testing.TB
	key    string
	op     *contract.Operation
	lambda api.Lambda
}

// unguarded counts and keeps nothing: a test of a handler is about the handler.
// The real guard has its tests in shared/api.
type unguarded struct{}

func (unguarded) CountRequest(_ context.Context, _ string, limit int) (table.RateWindow, error) {
	return table.RateWindow{Limit: limit, Left: limit - 1, Length: time.Minute, Resets: time.Minute}, nil
}

func (unguarded) NoteRefusal(context.Context, string, string, audit.Event) error { return nil }

// Serve serves one route.
func Serve(t testing.TB, method, path string, h api.Handler) *Route {
	t.Helper()
	return ServeBehind(t, unguarded{}, method, path, h)
}

// ServeBehind serves one route behind a guard.
func ServeBehind(t testing.TB, guard api.Guard, method, path string, h api.Handler) *Route {
	t.Helper()
	lambda, err := api.Serve(guard, api.Route{Method: method, Path: path, Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	op, err := contract.Load(method, path)
	if err != nil {
		t.Fatal(err)
	}
	return &Route{t, method + " " + path, op, lambda}
}

// In is the route in a subtest.
func (r *Route) In(t testing.TB) *Route { return &Route{t, r.key, r.op, r.lambda} }

// As calls the route with an API key's caller.
func (r *Route) As(c tenant.Caller, req Request) Answer {
	r.t.Helper()
	context, err := api.CallerContext(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Call(context, req)
}

// AsOperator calls the route with the operator's key.
func (r *Route) AsOperator(req Request) Answer {
	r.t.Helper()
	return r.Call(api.OperatorContext(), req)
}

// AsWorker calls the route with the claims of a ticket or a run token.
func (r *Route) AsWorker(c token.Claims, req Request) Answer {
	r.t.Helper()
	return r.Call(api.WorkerContext(c), req)
}

// Call calls the route with an authorizer's context; nil for none.
func (r *Route) Call(context map[string]any, req Request) Answer {
	r.t.Helper()
	return r.Event(r.Make(context, req))
}

// Make makes the event of a request, for tests that change it.
func (r *Route) Make(authorizer map[string]any, req Request) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: r.key, RawQueryString: req.Query, Headers: map[string]string{}, Body: req.Body}
	e.RequestContext.RouteKey = r.key
	e.RequestContext.HTTP.SourceIP = "198.51.100.7"
	if authorizer != nil {
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: authorizer}
	}
	if _, rest, ok := strings.Cut(r.key, "{"); ok {
		name, _, _ := strings.Cut(rest, "}")
		e.PathParameters = map[string]string{name: req.ID}
	}
	if req.Body != "" {
		e.Headers["content-type"] = "application/json"
	}
	for name, value := range req.Header {
		e.Headers[strings.ToLower(name)] = value
	}
	return e
}

// Event sends an event as it is, and holds the answer against the contract.
func (r *Route) Event(e events.APIGatewayV2HTTPRequest) Answer {
	r.t.Helper()
	out, err := r.lambda(context.Background(), e)
	if err != nil {
		r.t.Fatalf("%s: the function failed: %v", r.key, err)
	}
	a := Answer{out.StatusCode, out.Headers, []byte(out.Body)}
	if out.IsBase64Encoded {
		if a.Body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			r.t.Fatal(err)
		}
	}
	if a.Header["X-Request-Id"] == "" {
		r.t.Errorf("%s: the answer has no X-Request-Id", r.key)
	}
	var body any
	if strings.Contains(a.Header["Content-Type"], "json") {
		if err := json.Unmarshal(a.Body, &body); err != nil {
			r.t.Fatalf("%s: %v in %s", r.key, err, a.Body)
		}
	}
	if err := r.op.CheckAnswer(a.Status, a.Header["Content-Type"], body); err != nil {
		r.t.Errorf("%v: %s", err, a.Body)
	}
	return a
}

// Into decodes the answer, which must have that status.
func (a Answer) Into(t testing.TB, status int, v any) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("answered %d %s, want %d", a.Status, a.Body, status)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatal(err)
	}
}

// Refused requires a refusal with that code, and with that field where one is
// named. It returns the problem.
func (a Answer) Refused(t testing.TB, code problem.Code, field string) problem.Problem {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal(a.Body, &p); err != nil || p.Code != code || p.Status != a.Status {
		t.Errorf("answered %d %s, want %s", a.Status, a.Body, code)
		return p
	}
	if a.Header["Content-Type"] != "application/problem+json" || p.RequestID != a.Header["X-Request-Id"] {
		t.Errorf("%s is no problem document of this request: %v", a.Body, a.Header)
	}
	for _, f := range p.Errors {
		if f.Field == field {
			return p
		}
	}
	if field != "" {
		t.Errorf("%s does not name %s", a.Body, field)
	}
	return p
}

// HidesFromTenants asks an operator's route with tenants' keys, that of the
// tenant itself among them: all are refused before anything is looked at.
func (r *Route) HidesFromTenants(w *World, id string) {
	r.t.Helper()
	for _, c := range []tenant.Caller{w.Caller, w.Stranger("enterprise")} {
		for _, id := range []string{id, id[:len(id)-1] + "Z"} {
			r.As(c, Request{ID: id}).Refused(r.t, problem.Unauthorized, "")
		}
	}
}

// HidesFromStrangers asks for a thing with another tenant's key, for one that
// nobody has, and for ids that are none. The answers must be the same 404, byte
// for byte but for the request's own id.
func (r *Route) HidesFromStrangers(w *World, id string) {
	r.t.Helper()
	unknown := id[:len(id)-3] + "Z" + id[len(id)-2:]
	if strings.HasPrefix(id, "run_") {
		unknown = id[:20] + "ZZZ" + id[23:]
	}
	first := ""
	for _, c := range []struct{ id, why string }{
		{unknown, "nobody has it"}, {id, "another tenant has it"}, {"", "empty"}, {"nonsense", "no id"},
		{strings.ToLower(id), "not canonical"}, {id + "0", "too long"}, {"../" + id, "climbs"}, {"ten" + id[3:], "of another kind"},
	} {
		a := r.As(w.Stranger("pro"), Request{ID: c.id})
		a.Refused(r.t, problem.NotFound, "")
		body := strings.ReplaceAll(string(a.Body), a.Header["X-Request-Id"], "")
		if first == "" {
			first = body
		}
		if body != first {
			r.t.Errorf("%s, %s: %s, not %s", r.key, c.why, body, first)
		}
	}
}
