package table_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// keyID is the id of a key that another makes under a name.
func keyID(name string) string { return id.Derived(id.Key, start.Add(time.Minute), name) }

// keys are all keys of the bench's tenant.
func (b *bench) keys() ([]table.Key, error) {
	keys, _, err := b.Keys(b.ctx, b.tenant, "", 1000)
	return keys, err
}

func another(b *bench, name string) table.Key {
	return table.Key{ID: keyID(name), Hash: "hash-" + name, Name: "ci", Scopes: []string{"tasks:read"}, Entitlement: b.caller.Entitlement, State: table.KeyActive,
		CreatedAt: start.Add(time.Minute)}
}

func always(k table.Key) table.Successor {
	return func(table.Key) (table.Key, *table.Idempotency, error) { return k, nil, nil }
}

func TestAKeyLivesUntilItIsRevokedOrRotated(t *testing.T) {
	b := newBench(t)
	k := another(b, "key_2")
	b.must(b.CreateKey(b.ctx, b.tenant, k, by("key.create")))
	b.must(b.CreateKey(b.ctx, b.tenant, k, by("key.create"))) // as after a lost answer
	k.ID = keyID("key_3")
	if err := b.CreateKey(b.ctx, b.tenant, k, by("key.create")); !errors.Is(err, table.ErrExists) {
		t.Errorf("another key of the same hash: %v", err)
	}
	stale := another(b, "key_4")
	stale.Entitlement.Version = 0
	if err := b.CreateKey(b.ctx, b.tenant, stale, by("key.create")); !errors.Is(err, table.ErrLimitsChanged) {
		t.Errorf("a key with limits of the past: %v", err)
	}
	until := start.Add(time.Hour)
	next := table.Key{ID: keyID("key_5"), Hash: "hash-5", Display: "…", State: table.KeyActive, CreatedAt: start.Add(time.Minute + time.Millisecond)}
	old, err := b.RotateKey(b.ctx, b.tenant, keyID("key_2"), until, by("key.rotate"), always(next))
	b.must(err)
	if !old.ExpiresAt.Equal(until) {
		t.Errorf("the old one expires at %s", old.ExpiresAt)
	}
	made, err := b.KeyByHash(b.ctx, "hash-5")
	b.must(err)
	if made.Name != "ci" || fmt.Sprint(made.Scopes) != "[tasks:read]" || made.Entitlement != b.caller.Entitlement || made.Tenant != b.tenant || !made.ExpiresAt.IsZero() {
		t.Errorf("the new one: %+v", made)
	}
	b.clock.Advance(2 * time.Hour)
	if _, err := b.RotateKey(b.ctx, b.tenant, keyID("key_2"), until, by("key.rotate"), always(another(b, "key_6"))); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("an expired one is rotated: %v", err)
	}
	for range 2 { // again changes nothing
		k, err := b.RevokeKey(b.ctx, b.tenant, keyID("key_5"), by("key.revoke"))
		if b.must(err); k.State != table.KeyRevoked {
			t.Errorf("%+v", k)
		}
	}
	if _, err := b.RotateKey(b.ctx, b.tenant, keyID("key_5"), until, by("key.rotate"), always(another(b, "key_7"))); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("a revoked one is rotated: %v", err)
	}
	all, err := b.keys()
	if b.must(err); len(all) != 3 || all[0].ID != keyID("key_5") {
		t.Errorf("keys: %+v", all)
	}
}

// Whoever calls with a key may end that very key, once.
func TestAKeyRevokesItself(t *testing.T) {
	b := newBench(t)
	mine := by("key.revoke")
	mine.KeyHash = b.caller.KeyHash
	_, err := b.RevokeKey(b.ctx, b.tenant, b.caller.KeyID, mine)
	b.must(err)
	mine.Audit = by("key.create").Audit
	if err := b.CreateKey(b.ctx, b.tenant, another(b, "key_2"), mine); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("a revoked key makes a new one: %v", err)
	}
	if _, err := b.RotateKey(b.ctx, b.tenant, b.caller.KeyID, start, mine, always(another(b, "key_3"))); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("a revoked key rotates itself: %v", err)
	}
}

// Times within one second, too, whatever their digits.
func TestKeysAreListedNewestFirstAndEachIsFound(t *testing.T) {
	b := newBench(t)
	want := []string{b.caller.KeyID}
	for _, after := range []time.Duration{1, 20, 300 * time.Millisecond, 300*time.Millisecond + 1, 310 * time.Millisecond, time.Second, time.Second + 1, time.Hour} {
		k := another(b, fmt.Sprint(after))
		k.CreatedAt = start.Add(after)
		k.ID = id.New(id.Key, k.CreatedAt)
		b.must(b.CreateKey(b.ctx, b.tenant, k, by("key.create")))
		want = append(want, k.ID)
	}
	slices.Reverse(want)
	for limit := 1; limit <= len(want); limit++ {
		var got []string
		for after := ""; len(got) == 0 || after != ""; {
			keys, next, err := b.Keys(b.ctx, b.tenant, after, limit)
			if b.must(err); len(keys) > limit {
				t.Fatalf("%d keys of %d", len(keys), limit)
			}
			for _, k := range keys {
				got = append(got, k.ID)
			}
			after = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	for _, k := range want {
		_, err := b.RevokeKey(b.ctx, b.tenant, k, by("key.revoke"))
		b.must(err)
	}
	for _, none := range []string{id.New(id.Key, start), "key_1", "", "key_", id.New(id.Task, start)} {
		if _, err := b.RevokeKey(b.ctx, b.tenant, none, by("key.revoke")); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("%q is found: %v", none, err)
		}
	}
}

// While a tenant's limits change, its keys are made, rotated and revoked: at the
// end each living key has the limits of the tenant, or a stale version of them,
// and never another state than the calls left.
func TestKeysAndLimitsChangeAtOnce(t *testing.T) {
	b := newBench(t)
	var wait sync.WaitGroup
	made := make(chan string, 30)
	for i := range 10 {
		wait.Go(func() {
			_, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
				tn.Entitlement.Overrides.ConcurrentRuns = i + 1
				tn.Entitlement.Version++
				return tn, nil
			})
			if err != nil && !errors.Is(err, table.ErrConflict) {
				t.Error(err)
			}
		})
		wait.Go(func() {
			tn, err := b.Tenant(b.ctx, b.tenant)
			if err != nil {
				t.Error(err)
				return
			}
			k := another(b, fmt.Sprintf("key_%d", i))
			k.Entitlement = tn.Entitlement
			switch err := b.CreateKey(b.ctx, b.tenant, k, by("key.create")); {
			case err == nil:
				made <- k.ID
			case !errors.Is(err, table.ErrLimitsChanged) && !errors.Is(err, table.ErrConflict):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	close(made)
	want := map[string]bool{b.caller.KeyID: true}
	for id := range made {
		want[id] = true
	}
	tn, err := b.Tenant(b.ctx, b.tenant)
	b.must(err)
	all, err := b.keys()
	b.must(err)
	if len(all) != len(want) {
		t.Errorf("%d keys, %d were made", len(all), len(want))
	}
	for _, k := range all {
		if k.Entitlement != tn.Entitlement && k.Entitlement.Version >= tn.Entitlement.Version {
			t.Errorf("%s has %+v, the tenant %+v", k.ID, k.Entitlement, tn.Entitlement)
		}
	}
}
