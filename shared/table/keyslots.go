package table

import (
	"context"
	"fmt"
	"time"

	"github.com/guregu/dynamo/v2"
)

// MaxKeys is how many keys of a tenant can be good at once. All are carried along
// when the tenant's limits change, in one transaction, which takes 100 rows.
const MaxKeys = 50

// slotRow is one of a tenant's MaxKeys places for a key that is good. A place is
// free when it has no row, or when its key has expired: what ends by itself gives
// its place back without anybody's doing. The places are also the one list of
// living keys that is read consistently.
type slotRow struct {
	key
	Hash        string
	ExpiresUnix int64 // as of the key; 0 for never
}

// over tells whether the key of a place has expired. It stays so: no expiry is ever
// put off. The place may outlive the key's row, which DynamoDB deletes in the end.
func (s slotRow) over(now time.Time) bool { return s.ExpiresUnix > 0 && s.ExpiresUnix <= now.Unix() }

func slotSK(n int) string { return fmt.Sprintf("KEYSLOT#%02d", n) }

// ringRow counts the keys that a tenant was ever given. Who hands something to all
// keys does so under the condition that none was added since it read them. It lies
// before the places, so that the count is never newer than they are.
type ringRow struct {
	key
	Added int
}

func ringKey(tenantID string) key { return key{tenantPK(tenantID), slotSK(0)} }

// keyring is what was read of a tenant's places.
type keyring struct {
	slots []slotRow
	added int
}

func (t *Table) keyring(ctx context.Context, tenantID string) (ring keyring, err error) {
	var rows []struct {
		slotRow
		Added int
	}
	err = t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, "KEYSLOT#").Consistent(true).All(ctx, &rows)
	for _, r := range rows {
		if r.key == ringKey(tenantID) {
			ring.added = r.Added
		} else {
			ring.slots = append(ring.slots, r.slotRow)
		}
	}
	return ring, read(err)
}

// add is the write that counts a key that is added.
func (t *Table) add(tenantID string) *dynamo.Update {
	k := ringKey(tenantID)
	return t.items.Update("PK", k.PK).Range("SK", k.SK).Add("Added", 1)
}

// none is the write that fails when a key was added since the ring was read.
func (t *Table) none(tenantID string, ring keyring) *dynamo.Update {
	k := ringKey(tenantID)
	u := t.items.Update("PK", k.PK).Range("SK", k.SK).Set("Added", ring.added)
	if ring.added == 0 {
		return u.If("attribute_not_exists(Added) OR Added = ?", 0)
	}
	return u.If("Added = ?", ring.added)
}

// takeSlot is the write that gives a key the first free one of MaxKeys places. It
// returns ErrTooManyKeys when there is none.
func (t *Table) takeSlot(tenantID string, taken []slotRow, k Key) (*dynamo.Put, error) {
	now := t.clock.Now()
	by := map[string]slotRow{}
	for _, s := range taken {
		by[s.SK] = s
	}
	for n := 1; n <= MaxKeys; n++ {
		if s, there := by[slotSK(n)]; there && !s.over(now) {
			continue
		}
		row := slotRow{key{tenantPK(tenantID), slotSK(n)}, k.Hash, newKeyRow(k).ExpiresUnix}
		return t.items.Put(row).If("attribute_not_exists(PK) OR (ExpiresUnix > ? AND ExpiresUnix <= ?)", 0, now.Unix()), nil
	}
	return nil, ErrTooManyKeys
}

// slotOf finds the place of a key; one that expired may have lost it.
func slotOf(slots []slotRow, hash string) (slotRow, bool) {
	for _, s := range slots {
		if s.Hash == hash {
			return s, true
		}
	}
	return slotRow{}, false
}
