package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/apikey"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route, *apikey.Hasher) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	hasher, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	w.Must(err)
	issuer := apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32))
	return w, apitest.Serve(t, "POST", "/v1/keys", handler{w.Table, issuer, c}.handle), hasher
}

func TestAKeyIsShownOnceAndStoredAsItsHash(t *testing.T) {
	w, route, hasher := newWorld(t)
	var got api.NewKey
	expires := settlementtest.Start.Add(time.Hour).Format(time.RFC3339)
	route.As(w.Caller, apitest.Request{Body: `{"name":"ci","scopes":["tasks:write","tasks:read","tasks:write"],"kind":"test","expires_at":"` + expires + `"}`}).Into(t, 201, &got)
	if apikey.Check(got.Secret) != nil || !strings.HasPrefix(got.Secret, "op_test_") || fmt.Sprint(got.Scopes) != "[tasks:read tasks:write]" || got.State != "active" || got.ExpiresAt == nil {
		t.Errorf("%+v", got)
	}
	k, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret))
	w.Must(err)
	if k.ID != got.ID || k.Tenant != w.Tenant || k.Entitlement.Plan != "pro" || strings.Contains(fmt.Sprint(k), got.Secret[8:]) {
		t.Errorf("stored: %+v", k)
	}
	if trail := w.Audited("key.create"); len(trail) != 1 || trail[0].Target != got.ID || trail[0].Actor != w.Caller.KeyID || strings.Contains(fmt.Sprint(trail), got.Secret[8:]) {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestANewKeyIsInNoEventOfTheTrail(t *testing.T) {
	w, route, hasher := newWorld(t)
	var got api.NewKey
	route.As(w.Caller, apitest.Request{Body: `{"name":"ci","scopes":["tasks:read"]}`}).Into(t, 201, &got)
	w.TrailHides(w.Tenant, got.Secret, got.Secret[8:], hasher.Hash(got.Secret), w.Caller.KeyHash)
}

func TestAKeyGivesNoMoreThanItHas(t *testing.T) {
	w, route, _ := newWorld(t)
	small := w.Caller
	small.Scopes = []string{"keys:write", "tasks:write"}
	route.As(small, apitest.Request{Body: `{"name":"a","scopes":["tasks:read","tasks:write"]}`}).Into(t, 201, nil)
	route.As(small, apitest.Request{Body: `{"name":"a","scopes":["tasks:read","secrets:write"]}`}).Refused(t, problem.ValidationFailed, "/scopes/1")
}

func TestAKeyThatIsNoneIsRefusedByField(t *testing.T) {
	w, route, _ := newWorld(t)
	for _, c := range []struct{ body, field string }{
		{`{"scopes":["tasks:read"]}`, "/name"}, {`{"name":"","scopes":["tasks:read"]}`, "/name"}, {`{"name":"a","scopes":[]}`, "/scopes"},
		{`{"name":"a","scopes":["everything"]}`, "/scopes/0"}, {`{"name":"a","scopes":["tasks:read"],"expires_at":"soon"}`, "/expires_at"},
		{`{"name":"a","scopes":["tasks:read"],"expires_at":"2020-01-01T00:00:00Z"}`, "/expires_at"}, {`{"name":"a","scopes":["tasks:read"],"kind":"gold"}`, "/kind"},
		{`{"name":"a","scopes":["tasks:read"],"expires_at":"9999-12-31T23:59:59-23:59"}`, "/expires_at"},
		{`{"name":"a","scopes":["tasks:read"],"expires_at":"` + apikey.Latest(settlementtest.Start).Add(time.Second).Format(time.RFC3339) + `"}`, "/expires_at"},
	} {
		if a := route.As(w.Caller, apitest.Request{Body: c.body}); a.Status != 422 || !strings.Contains(string(a.Body), c.field) {
			t.Errorf("%s: %d %s", c.body, a.Status, a.Body)
		}
	}
	if keys, _, err := w.Keys(t.Context(), w.Tenant, "", 100); err != nil || len(keys) != 1 {
		t.Errorf("keys were made all the same: %+v, %v", keys, err)
	}
	latest := apikey.Latest(settlementtest.Start).Format(time.RFC3339)
	var got api.NewKey
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"],"expires_at":"` + latest + `"}`}).Into(t, 201, &got)
	if got.ExpiresAt == nil || *got.ExpiresAt != latest {
		t.Errorf("until the last moment: %+v", got)
	}
}

func TestLimitsOfThePastAreReadAnewAndASuspendedTenantMakesNoKey(t *testing.T) {
	w, route, hasher := newWorld(t)
	change := func(s tenant.State) {
		_, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}},
			func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &s}) })
		w.Must(err)
	}
	change(tenant.Suspended)
	change(tenant.Active) // its version has grown; the caller's copy is the authorizer's of before
	var got api.NewKey
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"]}`}).Into(t, 201, &got)
	if k, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret)); err != nil || k.Entitlement.Version != 3 {
		t.Errorf("%+v, %v", k, err)
	}
	change(tenant.Suspended)
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"]}`}).Refused(t, problem.TenantInactive, "")
}

func TestARevokedKeyMakesNoOther(t *testing.T) {
	w, route, _ := newWorld(t)
	w.Revoke(w.Caller)
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"]}`}).Refused(t, problem.Unauthorized, "")
}

func TestARepeatGetsTheSameKeyWhichIsKeptNowhere(t *testing.T) {
	w, route, hasher := newWorld(t)
	post := func(body, key string) apitest.Answer {
		return route.As(w.Caller, apitest.Request{Body: body, Header: map[string]string{"Idempotency-Key": key}})
	}
	first := post(`{"name":"ci","scopes":["tasks:read"]}`, "once")
	var got api.NewKey
	first.Into(t, 201, &got)
	again := post(`{ "scopes":["tasks:read"], "name":"ci" }`, "once")
	if again.Status != 201 || string(again.Body) != string(first.Body) || again.Header["Idempotent-Replayed"] != "true" || first.Header["Idempotent-Replayed"] != "" {
		t.Errorf("again: %d %s %v, at first %s", again.Status, again.Body, again.Header, first.Body)
	}
	post(`{"name":"other","scopes":["tasks:read"]}`, "once").Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
	var other api.NewKey
	post(`{"name":"ci","scopes":["tasks:read"]}`, "twice").Into(t, 201, &other)
	if other.Secret == got.Secret {
		t.Error("two keys are one")
	}
	// What is kept tells nothing of the key: only its hash does, and its last four.
	k, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret))
	w.Must(err)
	if err := w.Table.Answered(t.Context(), w.Tenant, "once", "another"); !errors.Is(err, table.ErrIdempotencyMismatch) {
		t.Errorf("nothing is kept: %v", err)
	}
	if k.ID != got.ID {
		t.Errorf("%s is stored for %s", k.ID, got.ID)
	}
	// A replay of a request that would be refused by now.
	soon := settlementtest.Start.Add(time.Hour).Format(time.RFC3339)
	short := `{"name":"short","scopes":["tasks:read"],"expires_at":"` + soon + `"}`
	post(short, "third").Into(t, 201, &got)
	w.Clock.Advance(2 * time.Hour)
	if a := post(short, "third"); a.Status != 201 || !strings.Contains(string(a.Body), got.Secret) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	post(short, "fourth").Refused(t, problem.ValidationFailed, "/expires_at")
}

// Whoever knows the request of another key of the tenant, and what it was sent
// under, does not get what it made.
func TestARepeatShowsTheKeyToWhomItWasShownAndWhoIsStillGood(t *testing.T) {
	w, route, _ := newWorld(t)
	other := func(name string, scopes ...string) tenant.Caller {
		now := w.Clock.Now()
		k := table.Key{ID: id.New(id.Key, now), Hash: "hash-" + name, Name: name, Scopes: scopes, Entitlement: w.Caller.Entitlement, State: table.KeyActive, CreatedAt: now,
			ExpiresAt: now.Add(time.Hour)}
		w.Must(w.CreateKey(t.Context(), w.Tenant, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
		return tenant.Caller{Tenant: w.Tenant, KeyID: k.ID, KeyHash: k.Hash, Scopes: scopes, Entitlement: k.Entitlement}
	}
	post := func(c tenant.Caller) apitest.Answer {
		return route.As(c, apitest.Request{Body: `{"name":"idem","scopes":["audit:read"]}`, Header: map[string]string{"Idempotency-Key": "abc"}})
	}
	maker := other("maker", "keys:write", "audit:read")
	var made api.NewKey
	post(maker).Into(t, 201, &made)
	for _, c := range []tenant.Caller{other("small", "keys:write"), w.Caller} {
		if a := post(c); strings.Contains(string(a.Body), made.Secret) {
			t.Errorf("a key with %v was shown another's", c.Scopes)
		} else {
			a.Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
		}
	}
	if a := post(maker); !strings.Contains(string(a.Body), made.Secret) || a.Header["Idempotent-Replayed"] != "true" {
		t.Errorf("its own repeat: %d %s", a.Status, a.Body)
	}
	gone := other("gone", "keys:write", "audit:read")
	w.Revoke(gone)
	post(gone).Refused(t, problem.Unauthorized, "")
	w.Clock.Advance(time.Hour)
	post(maker).Refused(t, problem.Unauthorized, "") // it has expired
	w.Revoke(maker)
	post(maker).Refused(t, problem.Unauthorized, "")
}

func TestTheFiftyFirstKeyIsRefused(t *testing.T) {
	w, route, _ := newWorld(t)
	for range table.MaxKeys - 1 {
		route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"]}`}).Into(t, 201, nil)
	}
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","scopes":["tasks:read"]}`}).Refused(t, problem.TooManyKeys, "")
}
