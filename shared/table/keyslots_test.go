package table_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"outpost/shared/table"
	"outpost/shared/tenant"
)

func TestATenantHasNoMoreKeysThanItsPlacesAndGetsThemBack(t *testing.T) {
	b := newBench(t) // with one key
	var made, full atomic.Int64
	create := func(n int, k func(i int) table.Key) {
		made.Store(0)
		full.Store(0)
		all(n, func(i int) {
			for {
				err := b.CreateKey(b.ctx, b.tenant, k(i), by("key.create"))
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, table.ErrTooManyKeys):
					full.Add(1)
				case errors.Is(err, table.ErrConflict):
					continue
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	create(table.MaxKeys+15, func(i int) table.Key { return another(b, fmt.Sprintf("key_%02d", i)) })
	if made.Load() != table.MaxKeys-1 || full.Load() != 16 {
		t.Fatalf("%d were made and %d refused", made.Load(), full.Load())
	}
	keys, err := b.Keys(b.ctx, b.tenant)
	b.must(err)
	if _, err := b.RotateKey(b.ctx, b.tenant, keys[0].ID, start.Add(time.Hour), by("key.rotate"), always(another(b, "key_next"))); !errors.Is(err, table.ErrTooManyKeys) {
		t.Errorf("a rotation beyond the last place: %v", err)
	}
	b.must(b.CreateKey(b.ctx, b.tenant, keys[3], by("key.create"))) // as after a lost answer
	for _, k := range keys[:2] {
		_, err := b.RevokeKey(b.ctx, b.tenant, k.ID, by("key.revoke"))
		b.must(err)
	}
	create(5, func(i int) table.Key {
		k := another(b, fmt.Sprintf("key_short_%d", i))
		k.ExpiresAt = start.Add(time.Hour)
		return k
	})
	if made.Load() != 2 {
		t.Errorf("%d were made in the places of two that were revoked", made.Load())
	}
	b.clock.Advance(time.Hour)
	create(5, func(i int) table.Key { return another(b, fmt.Sprintf("key_late_%d", i)) })
	if made.Load() != 2 {
		t.Errorf("%d were made in the places of two that expired", made.Load())
	}
}

func TestLimitsReachEveryLivingKeyHoweverManyThereWere(t *testing.T) {
	b := newBench(t)
	for i := range 100 { // far more than one transaction takes
		k := another(b, fmt.Sprintf("key_%03d", i))
		k.CreatedAt = start.Add(time.Duration(i) * time.Second)
		b.must(b.CreateKey(b.ctx, b.tenant, k, by("key.create")))
		if i != 2 {
			_, err := b.RevokeKey(b.ctx, b.tenant, k.ID, by("key.revoke"))
			b.must(err)
		}
	}
	_, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		plan := "enterprise"
		return tn.Apply(tenant.Change{Plan: &plan})
	})
	b.must(err)
	for _, hash := range []string{b.caller.KeyHash, "hash-key_002"} {
		if k, err := b.KeyByHash(b.ctx, hash); err != nil || k.Entitlement.Plan != "enterprise" {
			t.Errorf("%s has %+v, %v", hash, k.Entitlement, err)
		}
	}
	_, err = b.RevokeKey(b.ctx, b.tenant, "key_002", by("key.revoke")) // the oldest is found
	b.must(err)
}

func TestTheUseOfAKeyIsNotedOnce(t *testing.T) {
	b := newBench(t)
	k, err := b.KeyByHash(b.ctx, b.caller.KeyHash)
	b.must(err)
	all(8, func(int) {
		if err := b.TouchKey(b.ctx, k); err != nil && !errors.Is(err, table.ErrConflict) {
			t.Error(err)
		}
	})
	k, err = b.KeyByHash(b.ctx, b.caller.KeyHash)
	if b.must(err); !k.LastUsedAt.Equal(start) {
		t.Errorf("last used %s", k.LastUsedAt)
	}
	b.must(b.TouchKey(b.ctx, table.Key{Hash: "v1.nobody"}))
	if _, err := b.KeyByHash(b.ctx, "v1.nobody"); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("a key came from nowhere: %v", err)
	}
}

func TestAKeyIsMadeOnceUnderAnIdempotencyKey(t *testing.T) {
	b := newBench(t)
	var replays atomic.Int64
	make := func(i int, body string) error {
		once := by("key.create")
		once.Idempotency = &table.Idempotency{Key: "once", BodyHash: body, Status: 201, Body: []byte(fmt.Sprint(i))}
		return b.CreateKey(b.ctx, b.tenant, another(b, fmt.Sprintf("key_%s_%d", body, i)), once)
	}
	all(20, func(i int) {
		var replay *table.Replay
		for {
			err := make(i, "a")
			if errors.As(err, &replay) {
				replays.Add(1)
			} else if errors.Is(err, table.ErrConflict) {
				continue
			} else if err != nil {
				t.Error(err)
			}
			return
		}
	})
	if keys, err := b.Keys(b.ctx, b.tenant); err != nil || len(keys) != 2 || replays.Load() != 19 {
		t.Errorf("%d keys, %d replays, %v", len(keys), replays.Load(), err)
	}
	if err := make(77, "b"); !errors.Is(err, table.ErrIdempotencyMismatch) {
		t.Errorf("another body: %v", err)
	}
	b.clock.Advance(25 * time.Hour)
	b.must(make(78, "b"))
}
