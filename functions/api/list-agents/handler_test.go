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

func TestTheAgentsAreThoseOfThePlan(t *testing.T) {
	route := apitest.Serve(t, "GET", "/v1/agents", handler{}.handle)
	for plan, want := range map[string][]string{"free": {"claude"}, "pro": agent.Names(), "enterprise": agent.Names()} {
		var got api.Page[entry]
		route.As(caller(plan, "tasks:read"), apitest.Request{}).Into(t, 200, &got)
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
