package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type world struct {
	t     *testing.T
	h     handler
	store *table.Table
	clock *clock.Manual
	reads *enginetest.Counter
	name  string // of the table
}

func newWorld(t *testing.T) world {
	c, reads := clock.NewManual(settlementtest.Start), &enginetest.Counter{}
	name := enginetest.TableName(t, enginetest.Client(t, nil))
	hasher, err := apikey.NewHasher("v1", []byte(strings.Repeat("p", 32)))
	if err != nil {
		t.Fatal(err)
	}
	h := handler{store: table.New(enginetest.Client(t, reads), name, c), hasher: hasher, clock: c}
	return world{t, h, table.New(enginetest.Client(t, nil), name, c), c, reads, name}
}

// key stores a fresh key and returns it.
func (w world) key(change func(*table.Key)) (secret string, k table.Key) {
	w.t.Helper()
	secret, err := apikey.New(apikey.Live)
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.clock.Now()
	k = table.Key{ID: id.New(id.Key, now), Hash: w.h.hasher.Hash(secret), Tenant: id.New(id.Tenant, now), Scopes: []string{"tasks:read", "tasks:write"},
		Entitlement: tenant.Entitlement{Plan: "pro", Overrides: tenant.Overrides{RunsPerDay: 7}, State: tenant.Active, Version: 3}, State: table.KeyActive, CreatedAt: now}
	if change != nil {
		change(&k)
	}
	err = w.store.CreateTenant(context.Background(), tenant.Tenant{ID: k.Tenant, Entitlement: k.Entitlement, CreatedAt: now}, k,
		table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now}})
	if err != nil {
		w.t.Fatal(err)
	}
	return secret, k
}

func (w world) ask(identity ...string) answer {
	w.t.Helper()
	// What stands elsewhere in the request means nothing.
	a, err := w.h.handle(context.Background(), events.APIGatewayV2CustomAuthorizerV2Request{IdentitySource: identity,
		Headers: map[string]string{"x-tenant": "ten_other"}, QueryStringParameters: map[string]string{"tenant": "ten_other"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestAGoodKeyCostsOneReadAndTellsItsCaller(t *testing.T) {
	w := newWorld(t)
	secret, k := w.key(nil)
	w.ask("Bearer " + secret) // its first use is noted
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER "} {
		before := w.reads.Calls()
		a := w.ask(scheme + secret)
		if n := w.reads.Calls() - before; !a.IsAuthorized || n != 1 {
			t.Fatalf("%s: %v after %d reads", scheme, a.IsAuthorized, n)
		}
		want, err := api.CallerContext(tenant.Caller{Tenant: k.Tenant, KeyID: k.ID, KeyHash: k.Hash, Scopes: k.Scopes, Entitlement: k.Entitlement})
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if a.Context[name] != value {
				t.Errorf("%s is %v, want %v", name, a.Context[name], value)
			}
		}
		if raw, _ := json.Marshal(a); strings.Contains(string(raw), secret) {
			t.Error("the context holds the key itself")
		}
	}
}

func TestGarbageIsRefusedWithoutARead(t *testing.T) {
	w := newWorld(t)
	good, _ := w.key(nil)
	flipped := []byte(good)
	if flipped[20]++; flipped[20] > 'z' {
		flipped[20] = '0'
	}
	for _, c := range []struct {
		identity []string
		why      string
	}{
		{nil, "no identity"}, {[]string{""}, "empty"}, {[]string{"Bearer"}, "no key"}, {[]string{good}, "no scheme"}, {[]string{"Basic " + good}, "another scheme"},
		{[]string{"Bearer " + string(flipped)}, "mistyped"}, {[]string{"Bearer " + good + " "}, "something behind it"}, {[]string{"Bearer  " + good}, "two spaces"},
		{[]string{"Bearer " + strings.Repeat("x", 1<<20)}, "huge"}, {[]string{"Bearer " + good, "Bearer " + good}, "two of them"},
	} {
		if a := w.ask(c.identity...); a.IsAuthorized || len(a.Context) != 0 {
			t.Errorf("%s: %+v", c.why, a)
		}
	}
	if n := w.reads.Calls(); n != 0 {
		t.Errorf("%d reads", n)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for why, change := range map[string]func(*table.Key){
		"revoked":        func(k *table.Key) { k.State = table.KeyRevoked },
		"expires now":    func(k *table.Key) { k.ExpiresAt = w.clock.Now() },
		"closed account": func(k *table.Key) { k.Entitlement.State = tenant.Closed },
		"no state":       func(k *table.Key) { k.State = "" },
	} {
		secret, _ := w.key(change)
		if a := w.ask("Bearer " + secret); a.IsAuthorized || len(a.Context) != 0 {
			t.Errorf("%s: %+v", why, a)
		}
	}
	unknown, err := apikey.New(apikey.Live)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.ask("Bearer " + unknown); a.IsAuthorized {
		t.Error("a key that nobody has is good")
	}
}

func TestAKeyIsGoodUntilItExpiresAndASuspendedAccountMayRead(t *testing.T) {
	w := newWorld(t)
	expiring, _ := w.key(func(k *table.Key) { k.ExpiresAt = w.clock.Now().Add(time.Hour) })
	suspended, _ := w.key(func(k *table.Key) { k.Entitlement.State = tenant.Suspended })
	if !w.ask("Bearer "+expiring).IsAuthorized || !w.ask("Bearer "+suspended).IsAuthorized {
		t.Error("a good key is refused")
	}
	w.clock.Advance(time.Hour)
	if w.ask("Bearer " + expiring).IsAuthorized {
		t.Error("an expired key is good")
	}
}

func TestTheUseOfAKeyIsNotedOnceAnHour(t *testing.T) {
	w := newWorld(t)
	secret, k := w.key(nil)
	used := func(after time.Duration) time.Duration {
		w.clock.Advance(after)
		if !w.ask("Bearer " + secret).IsAuthorized {
			t.Fatal("refused")
		}
		got, err := w.store.KeyByHash(context.Background(), k.Hash)
		if err != nil {
			t.Fatal(err)
		}
		return got.LastUsedAt.Sub(k.CreatedAt)
	}
	for _, c := range []struct{ after, want time.Duration }{{0, 0}, {time.Minute, 0}, {59 * time.Minute, 0}, {time.Second, time.Hour + time.Second}, {30 * time.Minute, time.Hour + time.Second}} {
		if got := used(c.after); got != c.want {
			t.Errorf("after %v more it was last used %v after it was made, want %v", c.after, got, c.want)
		}
	}
	w.h.store = forgetful{w.store}
	w.clock.Advance(9 * time.Hour)
	if !w.ask("Bearer " + secret).IsAuthorized {
		t.Error("a use that cannot be noted is refused")
	}
}

// forgetful is a store that cannot write.
type forgetful struct{ *table.Table }

func (forgetful) TouchKey(context.Context, table.Key) error { return errors.New("down") }

type down struct{ store }

func (down) KeyByHash(context.Context, string) (table.Key, error) {
	return table.Key{State: table.KeyActive}, errors.New("dial tcp 10.0.0.7: refused")
}

func TestAFailingStoreLetsNobodyInAndTellsNothing(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key(nil)
	w.h.store = down{}
	a, err := w.h.handle(context.Background(), events.APIGatewayV2CustomAuthorizerV2Request{IdentitySource: []string{"Bearer " + secret}})
	if err == nil || a.IsAuthorized || strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestTheSampleEventIsUnderstood(t *testing.T) {
	raw, err := os.ReadFile("../../events/api-gateway-authorizer.json")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	secret, _ := w.key(nil)
	var e events.APIGatewayV2CustomAuthorizerV2Request
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	if a, err := w.h.handle(context.Background(), e); err != nil || a.IsAuthorized {
		t.Errorf("the sample's scrubbed key: %+v, %v", a, err)
	}
	e = events.APIGatewayV2CustomAuthorizerV2Request{}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "SCRUBBED", secret)), &e); err != nil {
		t.Fatal(err)
	}
	if a, err := w.h.handle(context.Background(), e); err != nil || !a.IsAuthorized {
		t.Errorf("with a real key: %+v, %v", a, err)
	}
}
