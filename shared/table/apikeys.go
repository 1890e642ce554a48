package table

import (
	"context"
	"errors"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/tenant"
)

// The states of a key.
const (
	KeyActive  = "active"
	KeyRevoked = "revoked"
)

// Key is an API key as the table knows it: never the key itself.
type Key struct {
	ID, Hash, Tenant, Name, Display string
	Scopes                          []string
	Entitlement                     tenant.Entitlement // a copy of the tenant's
	State                           string
	CreatedAt, ExpiresAt            time.Time // zero ExpiresAt: never
}

// KeyByHash returns the key of a hash, by one read. It is the one way into the
// table without a tenant: it is how a tenant is found.
func (t *Table) KeyByHash(ctx context.Context, hash string) (Key, error) {
	var row keyRow
	err := t.get(ctx, key{keyPK(hash), keySK}, &row)
	return row.Key, err
}

// Keys returns a tenant's keys, newest first, revoked and expired ones among
// them.
func (t *Table) Keys(ctx context.Context, tenantID string) ([]Key, error) {
	rows, err := t.keys(ctx, tenantID)
	var all []Key
	for _, r := range rows {
		all = append(all, r.Key)
	}
	return all, err
}

// CreateKey stores a tenant's new key with a copy of the tenant's entitlement,
// which must be that of this moment. It returns ErrExists when the hash is taken,
// ErrLimitsChanged when the entitlement is of the past, and ErrKeyRevoked.
func (t *Table) CreateKey(ctx context.Context, tenantID string, k Key, by By) error {
	k.Tenant = tenantID
	return t.again(ctx, func() error {
		err := t.commit(ctx, tenantID, by.changing(nil, keyFacts(k)), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newKeyRow(k)).If("attribute_not_exists(PK)"))
			tx.Check(t.unchangedTenant(tenantID, k.Entitlement.Version))
		})
		var c *conditionFailed
		switch {
		case !errors.As(err, &c):
			return err
		case c.failed[0]:
			there, err := t.KeyByHash(ctx, k.Hash)
			if err != nil {
				return err
			}
			if there.ID == k.ID && there.Tenant == tenantID {
				return nil // an answer was lost
			}
			return ErrExists
		default:
			return ErrLimitsChanged
		}
	})
}

// RevokeKey ends a tenant's key for ever: nothing is written under it from then
// on. One that is revoked stays so. It returns ErrNotFound and ErrKeyRevoked.
func (t *Table) RevokeKey(ctx context.Context, tenantID, keyID string, by By) (Key, error) {
	return t.changeKey(ctx, tenantID, keyID, by, func(k Key) (Key, error) {
		if k.State == KeyRevoked {
			return k, errUnchanged
		}
		k.State = KeyRevoked
		return k, nil
	}, nil)
}

// RotateKey stores a key that takes the place of another, with its name, scopes
// and entitlement; the other expires at a time, unless it does before. next makes
// the new key of the old one, and may be called again. It returns ErrNotFound for
// a key that is not active any more, and ErrKeyRevoked.
func (t *Table) RotateKey(ctx context.Context, tenantID, keyID string, next func(old Key) Key, until time.Time, by By) (old Key, err error) {
	return t.changeKey(ctx, tenantID, keyID, by, func(k Key) (Key, error) {
		if k.State != KeyActive || (!k.ExpiresAt.IsZero() && !t.clock.Now().Before(k.ExpiresAt)) {
			return k, ErrNotFound
		}
		if k.ExpiresAt.IsZero() || until.Before(k.ExpiresAt) {
			k.ExpiresAt = until
		}
		return k, nil
	}, func(old Key) Key {
		k := next(old)
		k.Tenant, k.Name, k.Scopes, k.Entitlement = tenantID, old.Name, old.Scopes, old.Entitlement
		return k
	})
}

// changeKey applies a rule to a key and writes what it makes of it, with the key
// that takes its place, if there is one. A caller may change the very key that it
// calls with.
func (t *Table) changeKey(ctx context.Context, tenantID, keyID string, by By, rule func(Key) (Key, error), successor func(old Key) Key) (changed Key, err error) {
	err = t.again(ctx, func() error {
		rows, err := t.keys(ctx, tenantID)
		if err != nil {
			return err
		}
		var was *keyRow
		for i := range rows {
			if rows[i].Key.ID == keyID {
				was = &rows[i]
			}
		}
		if was == nil {
			return ErrNotFound
		}
		if err := t.get(ctx, was.key, was); err != nil { // the index may be of the past
			return err
		}
		if changed, err = rule(was.Key); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		// One transaction cannot touch a row twice: the condition stands on the write.
		if by.KeyHash == was.Key.Hash {
			if was.Key.State != KeyActive {
				return ErrKeyRevoked
			}
			by.KeyHash = ""
		}
		facts := keyFacts(changed)
		var next *Key
		if successor != nil {
			k := successor(was.Key)
			next, facts["replaced_by"] = &k, k.ID
		}
		return settled(t.commit(ctx, tenantID, by.changing(keyFacts(was.Key), facts), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newKeyRow(changed)).If("'Key'.'State' = ? AND ExpiresUnix = ? AND 'Key'.'Entitlement'.'Version' = ?",
				was.Key.State, was.ExpiresUnix, was.Key.Entitlement.Version))
			if next != nil {
				tx.Put(t.items.Put(newKeyRow(*next)).If("attribute_not_exists(PK)"))
			}
		}))
	})
	return changed, err
}

// unchangedTenant is the condition that a tenant is active and its limits are
// those of a version.
func (t *Table) unchangedTenant(tenantID string, version int64) *dynamo.ConditionCheck {
	return t.items.Check("PK", tenantPK(tenantID)).Range("SK", tenantSK).
		If("'Tenant'.'Entitlement'.'State' = ? AND 'Tenant'.'Entitlement'.'Version' = ?", tenant.Active, version)
}

// maxKeys bounds how many of a tenant's keys are looked at, and carried along in
// one transaction, which takes 100 rows.
const maxKeys = 90

// keys finds the rows of a tenant's keys, newest first.
func (t *Table) keys(ctx context.Context, tenantID string) (rows []keyRow, err error) {
	err = t.items.Get("GSI1PK", tenantPK(tenantID)+"#KEYS").Index("GSI1").Order(dynamo.Descending).Limit(maxKeys).All(ctx, &rows)
	return rows, read(err)
}
