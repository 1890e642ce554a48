package main

import (
	"context"
	"fmt"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
)

// pen signs every key. What S3 itself does is under test in shared/artifact.
type pen struct{}

func (pen) PresignGet(_ context.Context, key string) (string, error) { return "https://s3/" + key, nil }

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/tenants/{id}/audit-exports", handler{w.Table, pen{}, api.NewCursors([]byte("of a test")), c}.handle)
}

func TestTheOperatorFollowsATenantsChain(t *testing.T) {
	w, route := newWorld(t)
	var p page
	route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &p)
	if len(p.Data) != 0 || p.Head != nil || p.HasMore {
		t.Errorf("before the first export: %+v", p)
	}
	var before audit.Link
	for day := 1; day <= 7; day++ {
		l := audit.Link{Sequence: day, Ref: audit.Ref{Day: fmt.Sprintf("2026-11-%02d", day), SHA256: audit.Hash([]byte{byte(day)})}}
		w.Must(w.BeginExport(t.Context(), w.Tenant, before, l.Day))
		w.Must(w.EndExport(t.Context(), w.Tenant, l))
		before = l
	}
	w.Must(w.BeginExport(t.Context(), w.Tenant, before, "2026-11-08")) // has not ended: nobody shows it
	query, seen := "limit=3", 0
	for {
		route.AsOperator(apitest.Request{ID: w.Tenant, Query: query}).Into(t, 200, &p)
		for _, e := range p.Data {
			seen++
			if e.Sequence != seen || e.Day != fmt.Sprintf("2026-11-%02d", seen) || e.ManifestSHA256 != audit.Hash([]byte{byte(seen)}) ||
				e.ManifestURL != "https://s3/audit/"+w.Tenant+"/"+e.Day+".manifest.json" || e.FileURL != "https://s3/audit/"+w.Tenant+"/"+e.Day+".jsonl.gz" {
				t.Errorf("number %d: %+v", seen, e)
			}
		}
		if p.Head == nil || p.Head.Sequence != 7 || p.Head.ManifestSHA256 != before.SHA256 {
			t.Errorf("head: %+v", p.Head)
		}
		if !p.HasMore {
			break
		}
		query = "limit=3&cursor=" + *p.NextCursor
	}
	if seen != 7 {
		t.Errorf("%d exports are listed", seen)
	}
}

func TestNobodyElseReadsExports(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromTenants(w, w.Tenant)
	for _, id := range []string{"ten_01KAR5G5M0000000000000000Z", "", "nonsense", "tsk" + w.Tenant[3:]} {
		route.AsOperator(apitest.Request{ID: id}).Refused(t, problem.NotFound, "")
	}
	route.AsOperator(apitest.Request{ID: w.Tenant, Query: "cursor=abc"}).Refused(t, problem.InvalidParameter, "cursor")
}
