package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

func TestKeysAreListedWithTheirStates(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "GET", "/v1/keys", handler{w.Table, api.NewCursors([]byte("of a test")), c}.handle)
	short := table.Key{ID: id.New(id.Key, c.Now()), Hash: "short", Name: "short", Display: "op_live_…last", Scopes: []string{"tasks:read"}, Entitlement: w.Caller.Entitlement,
		State: table.KeyActive, CreatedAt: c.Now().Add(time.Nanosecond), ExpiresAt: c.Now().Add(time.Minute)}
	w.Must(w.CreateKey(t.Context(), w.Tenant, short, table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now()}}))
	states := func() map[string]string {
		var page api.Page[api.Key]
		route.As(w.Caller, apitest.Request{}).Into(t, 200, &page)
		got := map[string]string{}
		for _, k := range page.Data {
			got[k.ID] = k.State
		}
		if page.Data[0].ID != short.ID {
			t.Errorf("the newest is not first: %+v", page.Data)
		}
		return got
	}
	if got := states(); got[short.ID] != "active" || got[w.Caller.KeyID] != "active" || len(got) != 2 {
		t.Errorf("%v", got)
	}
	c.Advance(time.Minute)
	w.Revoke(w.Caller)
	if got := states(); got[short.ID] != "expired" || got[w.Caller.KeyID] != "revoked" {
		t.Errorf("%v", got)
	}
	var theirs api.Page[api.Key]
	stranger := w.Stranger("pro")
	route.As(stranger, apitest.Request{}).Into(t, 200, &theirs)
	if len(theirs.Data) != 1 || theirs.Data[0].ID != stranger.KeyID {
		t.Errorf("a stranger sees %+v", theirs.Data)
	}
}

func TestThePagesOfTheKeysAreWholeAndTheirCursorsTheTenants(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "GET", "/v1/keys", handler{w.Table, api.NewCursors([]byte("of a test")), c}.handle)
	want := []string{w.Caller.KeyID}
	for n := range 10 {
		c.Advance(300 * time.Millisecond)
		k := table.Key{ID: id.New(id.Key, c.Now()), Hash: fmt.Sprint(n), Name: "ci", Display: "op_live_…last", Scopes: []string{"tasks:read"}, Entitlement: w.Caller.Entitlement,
			State: table.KeyActive, CreatedAt: c.Now()}
		w.Must(w.CreateKey(t.Context(), w.Tenant, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now()}}))
		want = append(want, k.ID)
	}
	slices.Reverse(want)
	stranger := w.Stranger("pro")
	for _, limit := range []int{1, 4, 11, 100} {
		var got []string
		for cursor := ""; ; {
			query := fmt.Sprint("limit=", limit) + cursor
			var page api.Page[api.Key]
			route.As(w.Caller, apitest.Request{Query: query}).Into(t, 200, &page)
			for _, k := range page.Data {
				got = append(got, k.ID)
			}
			if len(page.Data) > limit || page.HasMore != (page.NextCursor != nil) {
				t.Fatalf("%s: %+v", query, page)
			}
			if !page.HasMore {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
			route.As(stranger, apitest.Request{Query: "limit=1" + cursor}).Refused(t, problem.InvalidParameter, "cursor")
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	for query, field := range map[string]string{"limit=0": "limit", "limit=101": "limit", "limit=a": "limit", "cursor=abc": "cursor", "state=active": "state"} {
		route.As(w.Caller, apitest.Request{Query: query}).Refused(t, problem.InvalidParameter, field)
	}
}
