package table_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/id"
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
	keys, err := b.keys()
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
		k.ID = id.Derived(id.Key, k.CreatedAt, k.Name)
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
	_, err = b.RevokeKey(b.ctx, b.tenant, id.Derived(id.Key, start.Add(2*time.Second), "ci"), by("key.revoke")) // the oldest is found
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
	if keys, err := b.keys(); err != nil || len(keys) != 2 || replays.Load() != 19 {
		t.Errorf("%d keys, %d replays, %v", len(keys), replays.Load(), err)
	}
	if err := make(77, "b"); !errors.Is(err, table.ErrIdempotencyMismatch) {
		t.Errorf("another body: %v", err)
	}
	b.clock.Advance(25 * time.Hour)
	b.must(make(78, "b"))
}

// DynamoDB deletes the row of a key that is over for long, and nothing else of it.
func TestAKeyWhoseRowIsGoneHoldsNothingUp(t *testing.T) {
	c := clock.NewManual(start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	b := benchOn(t, table.New(client, name, c), c)
	ends := another(b, "key_ends")
	ends.ExpiresAt = start.Add(time.Hour)
	for _, k := range []table.Key{ends, another(b, "key_rotated"), another(b, "key_revoked")} {
		b.must(b.CreateKey(b.ctx, b.tenant, k, by("key.create")))
	}
	_, err := b.RotateKey(b.ctx, b.tenant, keyID("key_rotated"), start.Add(time.Hour), by("key.rotate"), always(another(b, "key_next")))
	b.must(err)
	_, err = b.RevokeKey(b.ctx, b.tenant, keyID("key_revoked"), by("key.revoke"))
	b.must(err)
	b.clock.Advance(91 * 24 * time.Hour)
	for _, k := range []string{"key_ends", "key_rotated", "key_revoked"} {
		gone, err := client.DeleteItem(b.ctx, &dynamodb.DeleteItemInput{TableName: &name, ReturnValues: types.ReturnValueAllOld,
			Key: map[string]types.AttributeValue{"PK": &types.AttributeValueMemberS{Value: "KEY#hash-" + k}, "SK": &types.AttributeValueMemberS{Value: "KEY"}}})
		if b.must(err); gone.Attributes["TTL"] == nil {
			t.Fatalf("the row of %s was none with a time to be deleted: %v", k, gone.Attributes)
		}
	}

	change := func(what string, rule func(tenant.Tenant) (tenant.Tenant, error)) {
		t.Helper()
		tn, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), rule)
		if err != nil {
			t.Fatalf("the tenant cannot be %s: %v", what, err)
		}
		for _, hash := range []string{b.caller.KeyHash, "hash-key_next"} {
			if k, err := b.KeyByHash(b.ctx, hash); err != nil || k.Entitlement != tn.Entitlement {
				t.Errorf("%s: %s has %+v, %v", what, hash, k.Entitlement, err)
			}
		}
		b.caller.Entitlement = tn.Entitlement
	}
	change("suspended", becomes(tenant.Suspended))
	change("reinstated", becomes(tenant.Active))
	change("given another plan", func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{Plan: new("free")}) })
	_, err = b.BindCustomer(b.ctx, b.tenant, "cus_1", b.withKey("billing.checkout"))
	b.must(err)
	_, now, err := b.Entitle(b.ctx, b.tenant, table.Look{Customer: "cus_1", FetchedAt: b.clock.Now(),
		Standing: billing.Standing{Plan: "pro", Status: "active"}}, by("billing.sync"))
	if b.must(err); now.Entitlement.Plan != "pro" {
		t.Errorf("Stripe gave %+v", now.Entitlement)
	}
	b.caller.Entitlement = now.Entitlement

	for what, err := range map[string]error{
		"revoked": errorOf(b.RevokeKey(b.ctx, b.tenant, keyID("key_ends"), by("key.revoke"))),
		"rotated": errorOf(b.RotateKey(b.ctx, b.tenant, keyID("key_rotated"), b.clock.Now(), by("key.rotate"), always(another(b, "key_never")))),
	} {
		if !errors.Is(err, table.ErrNotFound) {
			t.Errorf("a key that is gone is %s: %v", what, err)
		}
	}
	_, err = b.RotateKey(b.ctx, b.tenant, keyID("key_next"), b.clock.Now().Add(time.Hour), by("key.rotate"), always(another(b, "key_last")))
	b.must(err)
	b.clock.Advance(time.Hour)
	for i := range table.MaxKeys - 2 { // beside the tenant's first and the last
		b.must(b.CreateKey(b.ctx, b.tenant, another(b, fmt.Sprintf("key_%02d", i)), by("key.create")))
	}
	if err := b.CreateKey(b.ctx, b.tenant, another(b, "key_50"), by("key.create")); !errors.Is(err, table.ErrTooManyKeys) {
		t.Errorf("one key more than there are places: %v", err)
	}

	b.close()
	_, _, err = b.Entitle(b.ctx, b.tenant, table.Look{Customer: "cus_1", FetchedAt: b.clock.Now(), Deleted: true}, by("billing.sync"))
	b.must(err)
	b.must(b.MarkQuiet(b.ctx, b.tenant))
	b.clock.Advance(tenant.KeptClosed)
	b.must(b.BeginRemoval(b.ctx, b.tenant))
	for removed := 1; removed > 0; {
		removed, err = b.RemoveRows(b.ctx, b.tenant, b.clock.Now())
		b.must(err)
	}
	b.must(b.EndRemoval(b.ctx, b.tenant, by("tenant.remove")))
	if keys, err := b.keys(); err != nil || len(keys) != 0 {
		t.Errorf("%d keys are left of it, %v", len(keys), err)
	}
}

func errorOf(_ table.Key, err error) error { return err }
