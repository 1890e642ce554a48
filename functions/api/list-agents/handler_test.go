package main

import (
	"slices"
	"testing"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/tenant"
)

func caller(plan string, scopes ...string) tenant.Caller {
	return tenant.Caller{Tenant: id.New(id.Tenant, settlementtest.Start), KeyHash: "h", Scopes: scopes, Entitlement: tenant.Entitlement{Plan: plan, State: tenant.Active}}
}

func TestTheAgentsAreThoseOfThePlanOrOfTheTenantsOwn(t *testing.T) {
	route := apitest.Serve(t, "GET", "/v1/agents", handler{}.handle)
	for _, c := range []struct {
		plan string
		own  tenant.Agents
		want []string
	}{
		{"free", "", []string{"claude"}}, {"pro", "", agent.Names()}, {"enterprise", "", agent.Names()},
		{"free", tenant.AllAgents, agent.Names()}, {"pro", tenant.AgentsOf("grok", "codex"), []string{"codex", "grok"}},
	} {
		plan, want := c.plan, c.want
		var got api.Page[entry]
		who := caller(plan, "tasks:read")
		who.Entitlement.Overrides.Agents = c.own
		route.As(who, apitest.Request{}).Into(t, 200, &got)
		var names []string
		for _, a := range got.Data {
			names = append(names, a.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("plan %s: %v", plan, names)
		}
	}
}

func TestWriteImpliesReadAndNothingElseDoes(t *testing.T) {
	route := apitest.Serve(t, "GET", "/v1/agents", handler{}.handle)
	route.As(caller("pro", "tasks:write"), apitest.Request{}).Into(t, 200, nil)
	route.As(caller("pro", "keys:write", "billing:write"), apitest.Request{}).Refused(t, problem.InsufficientScope, "")
	route.As(caller("pro"), apitest.Request{}).Refused(t, problem.InsufficientScope, "")
}

func TestAnUnknownPlanIsNoPlan(t *testing.T) {
	route := apitest.Serve(t, "GET", "/v1/agents", handler{}.handle)
	route.As(caller("platinum", "tasks:read"), apitest.Request{}).Refused(t, problem.Internal, "")
}
