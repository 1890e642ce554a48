package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/tenants", handler{w.Table, api.NewCursors([]byte("of a test"))}.handle)
}

func TestEveryTenantIsOnOnePage(t *testing.T) {
	w, route := newWorld(t)
	want := map[string]bool{}
	for range 7 {
		id, _ := w.NewTenant(tenant.Entitlement{Plan: "enterprise", State: tenant.Active, Version: 1})
		want[id] = true
	}
	seen, pages := map[string]int{}, 0
	for cursor := ""; ; pages++ {
		query := "limit=3"
		if cursor != "" {
			query += "&cursor=" + cursor
		}
		var page api.Page[api.Tenant]
		route.AsOperator(apitest.Request{Query: query}).Into(t, 200, &page)
		for _, tn := range page.Data {
			seen[tn.ID]++
			if want[tn.ID] && tn.Limits.RunsPerDay != nil {
				t.Errorf("an enterprise has a limit of %d a day", *tn.Limits.RunsPerDay)
			}
		}
		if !page.HasMore {
			break
		}
		cursor = *page.NextCursor
	}
	for id := range want {
		if seen[id] != 1 {
			t.Errorf("%s stands %d times", id, seen[id])
		}
	}
	if len(seen) != 9 || pages != 2 { // two are of the world itself
		t.Errorf("%d tenants on %d pages", len(seen), pages+1)
	}
	route.AsOperator(apitest.Request{Query: "cursor=abc"}).Refused(t, problem.InvalidParameter, "cursor")
	route.As(w.Caller, apitest.Request{}).Refused(t, problem.Unauthorized, "")
}
