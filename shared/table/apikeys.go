package table

import (
	"context"
	"errors"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/id"
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
	CreatedAt, ExpiresAt            time.Time     // zero ExpiresAt: never
	RevokedAt                       time.Time     // zero unless it was revoked
	LastUsedAt                      time.Time     // to about an hour; zero: never
	RotatedAt                       time.Time     // for the first time; zero: never
	Lifetime                        time.Duration // of one that was rotated, as it was before; 0: for ever
}

// Lasting returns when a key that takes the part of this one expires if it is made
// at a time; zero for never. It lasts as long as this one was meant to, which a
// rotation does not change.
func (k Key) Lasting(from time.Time) time.Time {
	if life := k.lifetime(); life > 0 {
		return from.Add(life)
	}
	return time.Time{}
}

func (k Key) lifetime() time.Duration {
	switch {
	case !k.RotatedAt.IsZero():
		return k.Lifetime
	case k.ExpiresAt.IsZero():
		return 0
	}
	return k.ExpiresAt.Sub(k.CreatedAt)
}

// Over tells whether a key has expired.
func (k Key) Over(now time.Time) bool { return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) }

// KeyByHash returns the key of a hash, by one read. It is the one way into the
// table without a tenant: it is how a tenant is found.
func (t *Table) KeyByHash(ctx context.Context, hash string) (Key, error) {
	var row keyRow
	err := t.get(ctx, key{keyPK(hash), keySK}, &row)
	return row.Key, err
}

// Keys returns up to limit of a tenant's keys, newest first, revoked and expired
// ones among them, from the newest on or from where an earlier call ended. next is
// empty at the end, else what to pass as after.
func (t *Table) Keys(ctx context.Context, tenantID, after string, limit int) (keys []Key, next string, err error) {
	q := t.items.Get("GSI1PK", keysPK(tenantID)).Index("GSI1").Order(dynamo.Descending).SearchLimit(limit + 1)
	if after != "" {
		q.Range("GSI1SK", dynamo.Less, after)
	}
	var rows []keyRow
	cut, err := q.AllWithLastEvaluatedKey(ctx, &rows)
	if err != nil {
		return nil, "", read(err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].GSI1SK
	} else if cut != nil && len(rows) > 0 { // a page ends at 1 MB, before the limit
		next = rows[len(rows)-1].GSI1SK
	}
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys, next, nil
}

// CreateKey stores a tenant's new key with a copy of the tenant's entitlement,
// which must be that of this moment. It returns ErrExists when the hash is taken,
// ErrTooManyKeys, ErrLimitsChanged when the entitlement is of the past,
// ErrKeyRevoked, and what an idempotency key says.
func (t *Table) CreateKey(ctx context.Context, tenantID string, k Key, by By) error {
	k.Tenant = tenantID
	return t.again(ctx, func() error {
		keys, err := t.keyring(ctx, tenantID)
		if err != nil {
			return err
		}
		slot, full := t.takeSlot(tenantID, keys.slots, k)
		if full != nil {
			// An answer may have been lost: the key itself may stand in the last place.
			if there, err := t.KeyByHash(ctx, k.Hash); err == nil && there.ID == k.ID && there.Tenant == tenantID {
				return nil
			}
			return full
		}
		err = t.commit(ctx, tenantID, by.changing(nil, keyFacts(k)), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newKeyRow(k)).If("attribute_not_exists(PK)"))
			tx.Check(t.unchangedTenant(tenantID, k.Entitlement.Version))
			tx.Put(slot)
			tx.Update(t.add(tenantID))
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
		case c.failed[1]:
			return ErrLimitsChanged
		default:
			return errRaced // another key took the place
		}
	})
}

// TouchKey notes that a key was used, unless that was noted meanwhile.
func (t *Table) TouchKey(ctx context.Context, k Key) error {
	err := t.items.Update("PK", keyPK(k.Hash)).Range("SK", keySK).Set("'Key'.'LastUsedAt'", t.clock.Now()).
		If("attribute_exists(PK) AND 'Key'.'LastUsedAt' = ?", k.LastUsedAt).Run(ctx)
	return written(err, nil)
}

// RevokeKey ends a tenant's key for ever: nothing is written under it from then
// on. One that is revoked stays so. It returns ErrNotFound and ErrKeyRevoked.
func (t *Table) RevokeKey(ctx context.Context, tenantID, keyID string, by By) (Key, error) {
	return t.changeKey(ctx, tenantID, keyID, by, func(k Key) (Key, error) {
		if k.State == KeyRevoked {
			return k, errUnchanged
		}
		k.State, k.RevokedAt = KeyRevoked, t.clock.Now()
		return k, nil
	}, nil)
}

// Successor makes the key that takes the part of another, which is given as it is
// from then on, and what is kept under the caller's idempotency key, if there is
// one. It may be called again.
type Successor func(old Key) (Key, *Idempotency, error)

// RotateKey stores a key that takes the part of another, with its name, scopes,
// entitlement and lifetime; the other expires at a time, unless it does before. A
// suspended tenant's keys are rotated too. It returns ErrNotFound for a key that is
// not active any more, ErrTooManyKeys, ErrKeyRevoked, and what an idempotency key
// says.
func (t *Table) RotateKey(ctx context.Context, tenantID, keyID string, until time.Time, by By, next Successor) (old Key, err error) {
	return t.changeKey(ctx, tenantID, keyID, by, func(k Key) (Key, error) {
		if k.State != KeyActive || k.Over(t.clock.Now()) {
			return k, ErrNotFound
		}
		if k.RotatedAt.IsZero() {
			k.Lifetime, k.RotatedAt = k.lifetime(), t.clock.Now()
		}
		if k.ExpiresAt.IsZero() || until.Before(k.ExpiresAt) {
			k.ExpiresAt = until
		}
		return k, nil
	}, func(old Key) (Key, *Idempotency, error) {
		k, once, err := next(old)
		k.Tenant, k.Name, k.Scopes, k.Entitlement, k.ExpiresAt = tenantID, old.Name, old.Scopes, old.Entitlement, old.Lasting(k.CreatedAt)
		return k, once, err
	})
}

// changeKey applies a rule to a key and writes what it makes of it, with the key
// that follows it beside. A caller may change the very key that it calls with.
func (t *Table) changeKey(ctx context.Context, tenantID, keyID string, by By, rule func(Key) (Key, error), next Successor) (changed Key, err error) {
	err = t.again(ctx, func() error {
		by := by
		was, err := t.keyRow(ctx, tenantID, keyID)
		if err != nil {
			return err
		}
		if changed, err = rule(was.Key); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		keys, err := t.keyring(ctx, tenantID)
		if err != nil {
			return err
		}
		var follows *dynamo.Put
		var successor Key
		if next != nil {
			if successor, by.Idempotency, err = next(changed); err != nil {
				return err
			}
			if follows, err = t.takeSlot(tenantID, keys.slots, successor); err != nil {
				return err
			}
		}
		// One transaction cannot touch a row twice: the condition stands on the write.
		if by.KeyHash == was.Key.Hash {
			if was.Key.State != KeyActive || was.Key.Entitlement.State == tenant.Closed {
				return ErrKeyRevoked
			}
			by.KeyHash = ""
		}
		facts := keyFacts(changed)
		if next != nil {
			facts["replaced_by"] = successor.ID
		}
		return settled(t.commit(ctx, tenantID, by.changing(keyFacts(was.Key), facts), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newKeyRow(changed)).If("'Key'.'State' = ? AND ExpiresUnix = ? AND 'Key'.'Entitlement'.'Version' = ?",
				was.Key.State, was.ExpiresUnix, was.Key.Entitlement.Version))
			if s, ok := slotOf(keys.slots, changed.Hash); ok {
				t.moveSlot(tx, s, changed)
			}
			if follows != nil {
				tx.Put(t.items.Put(newKeyRow(successor)).If("attribute_not_exists(PK)"))
				tx.Put(follows)
				tx.Update(t.add(tenantID))
			}
		}))
	})
	return changed, err
}

// moveSlot makes the place of a key what the key has become.
func (t *Table) moveSlot(tx *dynamo.WriteTx, s slotRow, k Key) {
	if k.State == KeyRevoked {
		tx.Delete(t.items.Delete("PK", s.PK).Range("SK", s.SK).If("'Hash' = ?", s.Hash))
		return
	}
	s.ExpiresUnix = newKeyRow(k).ExpiresUnix
	tx.Put(t.items.Put(s).If("'Hash' = ?", s.Hash))
}

// unchangedTenant is the condition that a tenant is active and its limits are
// those of a version.
func (t *Table) unchangedTenant(tenantID string, version int64) *dynamo.ConditionCheck {
	return t.items.Check("PK", tenantPK(tenantID)).Range("SK", tenantSK).
		If("'Tenant'.'Entitlement'.'State' = ? AND 'Tenant'.'Entitlement'.'Version' = ?", tenant.Active, version)
}

// keyRow returns the row of a key as it is now. It is looked for among the keys of
// the second that its id names; the index that finds it may be of the past.
func (t *Table) keyRow(ctx context.Context, tenantID, keyID string) (keyRow, error) {
	if _, err := id.ULID(id.Key, keyID); err != nil {
		return keyRow{}, ErrNotFound
	}
	var rows []keyRow
	err := t.items.Get("GSI1PK", keysPK(tenantID)).Index("GSI1").Range("GSI1SK", dynamo.BeginsWith, id.Time(keyID).Format(secondOfKeys)).All(ctx, &rows)
	if err != nil {
		return keyRow{}, read(err)
	}
	for _, r := range rows {
		if r.Key.ID == keyID {
			err := t.get(ctx, r.key, &r)
			return r, err
		}
	}
	return keyRow{}, ErrNotFound
}
