package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/apikey"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// hold makes a key of the world's tenant with scopes, and its caller.
func hold(w *apitest.World, name string, scopes ...string) tenant.Caller {
	w.T.Helper()
	now := w.Clock.Now()
	k := table.Key{ID: id.New(id.Key, now), Hash: "hash-" + name, Name: name, Display: "op_live_…last", Scopes: scopes,
		Entitlement: w.Caller.Entitlement, State: table.KeyActive, CreatedAt: now}
	w.Must(w.CreateKey(w.T.Context(), w.Tenant, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
	return tenant.Caller{Tenant: w.Tenant, KeyID: k.ID, KeyHash: k.Hash, Scopes: scopes, Entitlement: w.Caller.Entitlement}
}

func newWorld(t *testing.T) (*apitest.World, *apitest.Route, *apikey.Hasher) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	hasher, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	w.Must(err)
	issuer := apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32))
	return w, apitest.Serve(t, "POST", "/v1/keys/{id}/rotate", handler{w.Table, issuer, c}.handle), hasher
}

func TestTheOldKeyGoesOnForTheOverlap(t *testing.T) {
	w, route, hasher := newWorld(t)
	var secrets []string
	for body, lasting := range map[string]time.Duration{"": 24 * time.Hour, `{"overlap_seconds":60}`: time.Minute, `{"overlap_seconds":0}`: 0} {
		k := table.Key{ID: id.New(id.Key, w.Clock.Now()), Hash: "hash" + body, Name: "ci", Display: "op_test_…last", Scopes: []string{"tasks:read"},
			Entitlement: w.Caller.Entitlement, State: table.KeyActive, CreatedAt: w.Clock.Now()}
		w.Must(w.CreateKey(t.Context(), w.Tenant, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}}))
		var got rotated
		route.As(w.Caller, apitest.Request{ID: k.ID, Body: body}).Into(t, 201, &got)
		if got.ID == k.ID || got.Name != "ci" || fmt.Sprint(got.Scopes) != "[tasks:read]" || !strings.HasPrefix(got.Secret, "op_test_") || got.Replaces.ID != k.ID {
			t.Errorf("%s: %+v", body, got)
		}
		secrets = append(secrets, got.Secret, got.Secret[8:], hasher.Hash(got.Secret))
		old, err := w.KeyByHash(t.Context(), k.Hash)
		w.Must(err)
		if !old.ExpiresAt.Equal(w.Clock.Now().Add(lasting)) {
			t.Errorf("%s: the old one expires at %s", body, old.ExpiresAt)
		}
		made, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret))
		if err != nil || made.Tenant != w.Tenant || made.ID != got.ID {
			t.Errorf("%s: stored %+v, %v", body, made, err)
		}
	}
	w.TrailHides(w.Tenant, secrets...)
	if trail := w.Audited("key.rotate"); len(trail) != 3 {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestAKeyThatIsOverIsNotRotated(t *testing.T) {
	w, route, _ := newWorld(t)
	route.As(w.Caller, apitest.Request{ID: w.Caller.KeyID, Body: `{"overlap_seconds":604801}`}).Refused(t, problem.ValidationFailed, "/overlap_seconds")
	w.Revoke(w.Caller)
	route.As(w.Caller, apitest.Request{ID: w.Caller.KeyID}).Refused(t, problem.NotFound, "")
}

func TestRotatingGivesNoMoreThanTheCallerHas(t *testing.T) {
	w, _, hasher := newWorld(t)
	issuer := apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32))
	route := apitest.ServeBehind(t, w.Table, "POST", "/v1/keys/{id}/rotate", handler{w.Table, issuer, w.Clock}.handle)
	small := hold(w, "small", "keys:write", "tasks:write")
	for _, stronger := range []tenant.Caller{hold(w, "other", "secrets:write"), hold(w, "more", "keys:write", "tasks:write", "audit:read"), w.Caller} {
		for _, header := range []map[string]string{nil, {"Idempotency-Key": "once"}} {
			p := route.As(small, apitest.Request{ID: stronger.KeyID, Header: header, Body: `{"overlap_seconds":0}`}).Refused(t, problem.InsufficientScope, "")
			if !strings.Contains(p.Detail, "which this key does not have itself") {
				t.Errorf("%v: %s", stronger.Scopes, p.Detail)
			}
		}
		if k, err := w.KeyByHash(t.Context(), stronger.KeyHash); err != nil || !k.ExpiresAt.IsZero() {
			t.Errorf("%v: it expires at %s, %v", stronger.Scopes, k.ExpiresAt, err)
		}
	}
	if made, refused := w.Audited("key.rotate"), w.Audited("request.refused"); len(made) != 0 || len(refused) == 0 ||
		refused[0].Actor != small.KeyID || !strings.Contains(refused[0].Detail, "insufficient_scope: POST /v1/keys/{id}/rotate") {
		t.Errorf("the trail: %+v, %+v", made, refused)
	}
	for what, k := range map[string]tenant.Caller{"fewer": hold(w, "fewer", "tasks:write"), "a read that a write implies": hold(w, "reads", "tasks:read"), "itself": small} {
		var got rotated
		route.As(small, apitest.Request{ID: k.KeyID}).Into(t, 201, &got)
		if made, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret)); err != nil || fmt.Sprint(made.Scopes) != fmt.Sprint(k.Scopes) {
			t.Errorf("%s: %v, %v", what, made.Scopes, err)
		}
	}
}

func TestTheNewKeyLastsAsLongAsTheOldOneWasMeantTo(t *testing.T) {
	w, route, hasher := newWorld(t)
	const month = 30 * 24 * time.Hour
	for lasting, body := range map[time.Duration]string{0: "", month: "", time.Hour: "", 2 * month: `{"overlap_seconds":0}`} {
		now := w.Clock.Now()
		k := table.Key{ID: id.New(id.Key, now), Hash: "lasting " + lasting.String(), Name: "ci", Display: "op_live_…last", Scopes: []string{"tasks:read"},
			Entitlement: w.Caller.Entitlement, State: table.KeyActive, CreatedAt: now}
		if lasting > 0 {
			k.ExpiresAt = now.Add(lasting)
		}
		w.Must(w.CreateKey(t.Context(), w.Tenant, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
		rotate := func(keyID string) string {
			w.Clock.Advance(10 * time.Minute)
			var got rotated
			route.As(w.Caller, apitest.Request{ID: keyID, Body: body}).Into(t, 201, &got)
			made, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret))
			w.Must(err)
			var want time.Time
			if lasting > 0 {
				want = w.Clock.Now().Add(lasting)
			}
			if !made.ExpiresAt.Equal(want) || (got.ExpiresAt == nil) != want.IsZero() || got.ExpiresAt != nil && *got.ExpiresAt != want.Format(time.RFC3339Nano) {
				t.Errorf("after one of %s there is one until %s, %+v; want %s", lasting, made.ExpiresAt, got, want)
			}
			return got.ID
		}
		next := rotate(k.ID)
		if body == "" { // it goes on, for less than it was meant to
			rotate(k.ID)
		}
		rotate(next)
	}
}

// A key may leak while its tenant is suspended.
func TestASuspendedTenantRotatesItsKeysWhichGivesItNothing(t *testing.T) {
	w, route, hasher := newWorld(t)
	suspended := tenant.Suspended
	tn, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}},
		func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &suspended}) })
	w.Must(err)
	for _, seen := range []tenant.Entitlement{w.Caller.Entitlement, tn.Entitlement} { // the authorizer's answer of before, and of after
		caller := w.Caller
		caller.Entitlement = seen
		var got rotated
		route.As(caller, apitest.Request{ID: caller.KeyID}).Into(t, 201, &got)
		made, err := w.KeyByHash(t.Context(), hasher.Hash(got.Secret))
		if w.Must(err); made.Entitlement != tn.Entitlement {
			t.Errorf("the new key has %+v, the tenant %+v", made.Entitlement, tn.Entitlement)
		}
		now := w.Clock.Now()
		more := table.Key{ID: id.New(id.Key, now), Hash: "more " + got.ID, Entitlement: made.Entitlement, State: table.KeyActive, CreatedAt: now}
		by := table.By{KeyHash: made.Hash, Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}
		if err := w.CreateKey(t.Context(), w.Tenant, more, by); !errors.Is(err, table.ErrLimitsChanged) {
			t.Errorf("a suspended tenant's new key makes another: %v", err)
		}
		tk := task.Task{ID: id.New(id.Task, now), Tenant: w.Tenant, State: task.Queued, CreatedAt: now, Tally: task.Tally{Total: 1, Remaining: 1}}
		tk.Runs = []task.Run{{ID: id.ForRun(tk.ID, 1), Task: tk.ID, Tenant: w.Tenant, Number: 1, Agent: "claude", Priority: task.Normal, State: task.Queued, CreatedAt: now}}
		admission := table.Admission{Caller: tenant.Caller{Tenant: w.Tenant, KeyID: made.ID, KeyHash: made.Hash, Entitlement: made.Entitlement}, Task: tk, RunsPerDay: 100, Audit: by.Audit}
		if err := w.Admit(t.Context(), w.Tenant, admission); !errors.Is(err, table.ErrTenantInactive) {
			t.Errorf("a suspended tenant's new key starts something: %v", err)
		}
	}
}

func TestStrangersRotateNothing(t *testing.T) {
	w, route, _ := newWorld(t)
	route.HidesFromStrangers(w, w.Caller.KeyID)
	if k, err := w.KeyByHash(t.Context(), w.Caller.KeyHash); err != nil || !k.ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestARepeatedRotationShowsTheKeyToWhoRotatedItUntilThatIsRevoked(t *testing.T) {
	w, route, _ := newWorld(t)
	mine, another := hold(w, "mine", "keys:write"), hold(w, "another", "keys:write")
	rotate := func(c tenant.Caller) apitest.Answer {
		return route.As(c, apitest.Request{ID: mine.KeyID, Body: `{"overlap_seconds":0}`, Header: map[string]string{"Idempotency-Key": "once"}})
	}
	var got, again rotated
	rotate(mine).Into(t, 201, &got)
	rotate(another).Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
	rotate(mine).Into(t, 201, &again) // though it is over: the first answer may have been lost
	if again.Secret != got.Secret || got.Secret == "" {
		t.Errorf("%+v, and %+v", got, again)
	}
	w.Revoke(mine)
	rotate(mine).Refused(t, problem.Unauthorized, "")
}

func TestARepeatedRotationMakesOneKey(t *testing.T) {
	w, route, _ := newWorld(t)
	once := apitest.Request{ID: w.Caller.KeyID, Header: map[string]string{"Idempotency-Key": "once"}}
	first, again := route.As(w.Caller, once), route.As(w.Caller, once)
	if first.Status != 201 || string(first.Body) != string(again.Body) || again.Header["Idempotent-Replayed"] != "true" {
		t.Errorf("%s\n%s", first.Body, again.Body)
	}
	if keys, _, err := w.Keys(t.Context(), w.Tenant, "", 100); err != nil || len(keys) != 2 {
		t.Errorf("keys: %+v, %v", keys, err)
	}
}
