package apitest

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"outpost/shared/agent"
	"outpost/shared/apikey"
	"outpost/shared/id"
)

// tenantsLimits are what an invented plan gives.
var tenantsLimits = map[string]any{"runs_per_day": 100, "concurrent_runs": 5, "agents": []any{"claude", "codex"}, "max_timeout_seconds": 900, "weight": 4,
	"requests_per_minute": 1800}

// merge applies a change of overrides as the API does: null takes one off.
func merge(overrides, change any) map[string]any {
	all := map[string]any{}
	if was, ok := overrides.(map[string]any); ok {
		all = with(was, nil)
	}
	if c, ok := change.(map[string]any); ok {
		for name, v := range c {
			if all[name] = v; v == nil {
				delete(all, name)
			}
		}
	}
	return all
}

// limitsOf are the plan's limits with overrides in their place.
func limitsOf(overrides map[string]any) map[string]any {
	l := with(tenantsLimits, overrides)
	if fmt.Sprint(l["runs_per_day"]) == "-1" {
		l["runs_per_day"] = nil
	}
	if fmt.Sprint(l["agents"]) == "[all]" {
		l["agents"] = agent.Names()
	}
	return l
}

func (a *API) createTenant(r *http.Request, body map[string]any) (int, any) {
	if status, answer, refused := a.refusedBody("POST", "/v1/tenants", body); refused {
		return status, answer
	}
	return a.madeOnce(r, func() map[string]any {
		plan, _ := body["plan"].(string)
		own := merge(nil, body["limits"])
		t := map[string]any{"id": id.New(id.Tenant, time.Now()), "name": body["name"], "email": body["email"], "plan": cmp.Or(plan, "free"), "plan_source": "operator",
			"state": "active", "overrides": own, "limits": limitsOf(own), "created_at": at, "closed_at": nil, "data_removal_at": nil, "data_removed_at": nil}
		a.Tenants = append(a.Tenants, t)
		return with(t, map[string]any{"api_key": a.newKey(apikey.Live)})
	})
}

func (a *API) listTenants(r *http.Request, _ map[string]any) (int, any) {
	return 200, part(r, a.Tenants)
}

func (a *API) findTenant(r *http.Request) map[string]any {
	for _, t := range a.Tenants {
		if t["id"] == r.PathValue("id") {
			return t
		}
	}
	return nil
}

func (a *API) tenant(r *http.Request, _ map[string]any) (int, any) {
	if t := a.findTenant(r); t != nil {
		return 200, t
	}
	return notFound()
}

func (a *API) changeTenant(r *http.Request, body map[string]any) (int, any) {
	if status, answer, refused := a.refusedBody("PATCH", "/v1/tenants/{id}", body); refused {
		return status, answer
	}
	t := a.findTenant(r)
	switch {
	case t == nil:
		return notFound()
	case t["state"] == "closed":
		return problem(409, "tenant_closed", "A closed tenant stays closed.")
	}
	for name, v := range body {
		if name == "limits" {
			t["overrides"] = merge(t["overrides"], v)
			t["limits"] = limitsOf(t["overrides"].(map[string]any))
			continue
		}
		t[name] = v
	}
	if body["plan"] != nil && body["plan_source"] == nil {
		t["plan_source"] = "operator"
	}
	return 200, t
}

func (a *API) closeTenant(r *http.Request, _ map[string]any) (int, any) {
	t := a.findTenant(r)
	if t == nil {
		return notFound()
	}
	t["state"], t["closed_at"], t["data_removal_at"] = "closed", at, "2026-12-23T10:00:04Z"
	return 200, t
}
