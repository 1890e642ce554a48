package apitest

import (
	"net/http"
	"strings"

	"outpost/shared/contract"
)

// examples are the routes that answer as the contract's example does: a test of
// them is about what the client asks and shows.
var examples = []string{"GET /v1/usage", "GET /v1/limits", "GET /v1/billing", "POST /v1/billing/checkout", "POST /v1/billing/plan", "POST /v1/billing/portal"}

// example is the contract's own example of a route's answer.
func (a *API) example(route string) func(*http.Request, map[string]any) (int, any) {
	doc, err := contract.Document()
	if err != nil {
		a.t.Fatal(err)
	}
	method, path, _ := strings.Cut(route, " ")
	var node any = doc
	for _, name := range []string{"paths", path, strings.ToLower(method), "responses", "200", "content", "application/json", "examples"} {
		inner, _ := node.(map[string]any)
		if node = inner[name]; node == nil {
			a.t.Fatalf("the contract has no example of %s: nothing at %s", route, name)
		}
	}
	for _, e := range node.(map[string]any) {
		if named, ok := e.(map[string]any); ok {
			return func(*http.Request, map[string]any) (int, any) { return http.StatusOK, named["value"] }
		}
	}
	a.t.Fatalf("the contract has no example of %s", route)
	return nil
}
