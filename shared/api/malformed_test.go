package api_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/contract"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/tenant"
	"outpost/shared/token"
	"outpost/shared/topology"
)

var (
	aTenant = id.New(id.Tenant, settlementtest.Start)
	aTask   = id.New(id.Task, settlementtest.Start)
	aCaller = tenant.Caller{Tenant: aTenant, KeyID: "key_x", KeyHash: "v1.x", Scopes: tenant.Scopes, Entitlement: tenant.Entitlement{Plan: "pro", State: tenant.Active}}
)

// authorizer is the context that lets a request into a route.
func authorizer(t testing.TB, r topology.Route) map[string]any {
	t.Helper()
	switch r.Authorizer {
	case topology.ByAPIKey:
		c, err := api.CallerContext(aCaller)
		if err != nil {
			t.Fatal(err)
		}
		return c
	case topology.ByOperator:
		return api.OperatorContext()
	case topology.ByRunner:
		return api.WorkerContext(token.Claims{Kind: api.WorkerKind(r.Method + " " + r.Path), Tenant: aTenant, Run: id.ForRun(aTask, 1), Attempt: 1})
	}
	return nil
}

// idFor is a well-formed id of a route's noun.
func idFor(r topology.Route) string {
	switch noun, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/v1/"), "/"); noun {
	case "runs":
		return id.ForRun(aTask, 1)
	case "keys":
		return "key" + aTenant[3:]
	case "tenants":
		return aTenant
	case "secrets":
		return "OPENAI_API_KEY"
	}
	return aTask
}

// foreign tells whether others decide what a route's body holds: Stripe adds
// fields to its events as it likes, and signs them.
func foreign(r topology.Route) bool { return r.Path == "/webhooks/stripe" }

// unreached is the handler of requests that must be refused before it.
func unreached(t testing.TB) api.Handler {
	return func(context.Context, *api.Request) (api.Response, error) {
		t.Helper()
		t.Error("the handler was called")
		return api.Response{}, nil
	}
}

func postRoutes(t *testing.T) (routes []topology.Route) {
	for _, r := range topology.Routes {
		if r.Method == "POST" {
			routes = append(routes, r)
		}
	}
	if len(routes) < 9 {
		t.Fatalf("only %d POST routes", len(routes))
	}
	return routes
}

func TestNoRouteLetsAMalformedBodyThrough(t *testing.T) {
	for _, r := range postRoutes(t) {
		t.Run(r.Path, func(t *testing.T) {
			op, err := contract.Load(r.Method, r.Path)
			if err != nil {
				t.Fatal(err)
			}
			most := 256 << 10
			if r.Authorizer == topology.ByRunner {
				most = 2 << 20
			}
			route := apitest.Serve(t, r.Method, r.Path, unreached(t))
			for _, c := range []struct {
				body   string
				header map[string]string
				code   problem.Code
				field  string
				why    string
			}{
				{"{", nil, problem.MalformedRequest, "", "ends too early"},
				{"nonsense", nil, problem.MalformedRequest, "", "no JSON"},
				{"{}{}", nil, problem.MalformedRequest, "", "two documents"},
				{"{} x", nil, problem.MalformedRequest, "", "something behind it"},
				{`{"a":1,"a":2}`, nil, problem.MalformedRequest, "", "a member twice"},
				{`{"a":1,"\u0061":2}`, nil, problem.MalformedRequest, "", "a member twice, written differently"},
				{"{\"a\":\"\xff\"}", nil, problem.MalformedRequest, "", "not UTF-8"},
				{"\ufeff{}", nil, problem.MalformedRequest, "", "a byte order mark"},
				{`{"a":NaN}`, nil, problem.MalformedRequest, "", "no number"},
				{`{'a':1}`, nil, problem.MalformedRequest, "", "single quotes"},
				{`{"a":1,}`, nil, problem.MalformedRequest, "", "a comma too many"},
				{strings.Repeat("[", 100_000), nil, problem.MalformedRequest, "", "too deep"},
				{`{"a":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "}", nil, problem.MalformedRequest, "", "too deep, and closed"},
				{`{"no_such_field":1}`, nil, problem.ValidationFailed, "/no_such_field", "unknown field"},
				{`{"tenant":"` + aTenant + `"}`, nil, problem.ValidationFailed, "/tenant", "a tenant of one's own choice"},
				{`{"no_such_field":1e999999999}`, nil, problem.MalformedRequest, "", "a number that no memory holds"},
				{`{"no_such_field":-1E-999999999}`, nil, problem.MalformedRequest, "", "a number that is nearly nothing"},
				{`{"no_such_field":1e99999999999999999999}`, nil, problem.MalformedRequest, "", "an exponent that is no integer"},
				{`{"no_such_field":` + strings.Repeat("9", 10_000) + `}`, nil, problem.MalformedRequest, "", "a number of many digits"},
				{"[]", nil, problem.ValidationFailed, "", "a list"},
				{"null", nil, problem.ValidationFailed, "", "null"},
				{"7", nil, problem.ValidationFailed, "", "a number"},
				{`"` + strings.Repeat("x", most) + `"`, nil, problem.BodyTooLarge, "", "too large"},
				{"{}", map[string]string{"Content-Type": "text/plain"}, problem.UnsupportedMedia, "", "another type"},
				{"{}", map[string]string{"Content-Type": ""}, problem.UnsupportedMedia, "", "no type"},
				{"{}", map[string]string{"Content-Type": "application/jsonx"}, problem.UnsupportedMedia, "", "nearly the type"},
			} {
				if strings.HasPrefix(c.field, "/") && foreign(r) {
					continue
				}
				a := route.Call(authorizer(t, r), apitest.Request{ID: idFor(r), Body: c.body, Header: c.header})
				if a.Refused(t, c.code, c.field); t.Failed() {
					t.Fatalf("%s: %d %s", c.why, a.Status, a.Body)
				}
			}
			if op.BodyRequired {
				a := route.Call(authorizer(t, r), apitest.Request{ID: idFor(r), Header: map[string]string{"Content-Type": "application/json"}})
				a.Refused(t, problem.MalformedRequest, "")
			}
			e := apitest.Request{ID: idFor(r), Query: "verbose=1", Body: "{}"}
			route.Call(authorizer(t, r), e).Refused(t, problem.InvalidParameter, "verbose")
		})
	}
}

func TestBodiesThatNoBase64HoldsAreRefused(t *testing.T) {
	for _, r := range postRoutes(t) {
		route := apitest.Serve(t, r.Method, r.Path, unreached(t))
		for body, code := range map[string]problem.Code{"%%%": problem.MalformedRequest, base64.StdEncoding.EncodeToString([]byte("{")): problem.MalformedRequest,
			base64.StdEncoding.EncodeToString([]byte(`{"nope":1}`)): problem.ValidationFailed} {
			if code == problem.ValidationFailed && foreign(r) {
				continue
			}
			e := route.Make(authorizer(t, r), apitest.Request{ID: idFor(r), Body: body})
			e.IsBase64Encoded = true
			route.Event(e).Refused(t, code, "")
		}
	}
}

// These once brought a function down: the schema's check could not write them
// out and went on with nothing.
func TestNumbersBeyondAllBoundsAreRefusedWhereANumberBelongs(t *testing.T) {
	r := topology.Routes[0]
	route := apitest.Serve(t, r.Method, r.Path, unreached(t))
	for _, field := range []string{"budget_usd", "timeout_seconds"} {
		for number, code := range map[string]problem.Code{"1e400": problem.ValidationFailed, "1e401": problem.MalformedRequest, "-1e9999999": problem.MalformedRequest, "1e-9999999": problem.MalformedRequest} {
			route.Call(authorizer(t, r), apitest.Request{Body: `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"` + field + `":` + number + `}`}).Refused(t, code, "")
		}
	}
}

func FuzzNoBodyBreaksARoute(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", `{"repo":"https://h/a/b","prompt":"p","agents":["claude",{"agent":"codex"}]}`, `{"agents":[[[[]]]]}`,
		`{"budget_usd":1e400,"timeout_seconds":-0}`, `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"budget_usd":1e9999999}`, "{\"a\":\"\\ud800\"}", `{"tags":["a","a",1,null,{}]}`, `[1 2]`, `{"a" 1}`} {
		f.Add(seed)
	}
	r := topology.Routes[0]
	decoded := func(_ context.Context, q *api.Request) (api.Response, error) {
		var body map[string]any
		if err := q.Decode(&body); err != nil {
			return api.Response{}, err
		}
		return api.Response{}, problem.New(problem.PlanLimit, "It came as far as that.")
	}
	route := apitest.Serve(f, r.Method, r.Path, decoded)
	context := authorizer(f, r)
	f.Fuzz(func(t *testing.T, body string) {
		if a := route.In(t).Call(context, apitest.Request{Body: body, Header: map[string]string{"Content-Type": "application/json"}}); a.Status >= 500 || a.Status < 400 {
			t.Errorf("%q: %d %s", body, a.Status, a.Body)
		}
	})
}
