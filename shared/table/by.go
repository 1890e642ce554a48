package table

import (
	"cmp"
	"context"
	"errors"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/tenant"
)

// By is who makes a change: what the audit trail says of it, and the API key
// that must be good at that very moment.
type By struct {
	KeyHash string // empty for who has none: an operator, or Outpost itself
	Audit   audit.Event
	// Idempotency is nil when the caller sent no key.
	Idempotency *Idempotency

	gets *tenant.Entitlement // what the API key's row gets by the change
}

// giving returns by and a tenant's keys for a change that gives all of them an
// entitlement: a transaction touches the caller's own key once, to check it and
// to change it.
func (by By) giving(e tenant.Entitlement, keys keyring) (By, keyring) {
	var others []slotRow
	for _, k := range keys.slots {
		if k.Hash == by.KeyHash {
			by.gets = &e
		} else {
			others = append(others, k)
		}
	}
	keys.slots = others
	return by, keys
}

// commit carries out writes in one transaction with the check of the key and
// the audit event, and what is kept under the caller's idempotency key. It returns
// ErrKeyRevoked, *Replay or ErrIdempotencyMismatch for a used idempotency key,
// *conditionFailed when a condition of the writes does not hold, in their order,
// or errRaced.
func (t *Table) commit(ctx context.Context, tenantID string, by By, writes func(*dynamo.WriteTx)) error {
	tx := t.db.WriteTx().Idempotent(true)
	switch {
	case by.KeyHash != "" && by.gets != nil:
		tx.Update(t.items.Update("PK", keyPK(by.KeyHash)).Range("SK", keySK).Set("'Key'.'Entitlement'", *by.gets).If(isGood, t.good(tenantID)...))
	case by.KeyHash != "":
		tx.Check(t.goodKey(tenantID, by.KeyHash))
	}
	tx.Put(t.items.Put(newAuditRow(tenantID, by.Audit)))
	writes(tx)
	if by.Idempotency != nil {
		tx.Put(t.keep(tenantID, *by.Idempotency))
	}
	err := transacted(tx.Run(ctx))
	var c *conditionFailed
	if !errors.As(err, &c) {
		return err
	}
	own := 1 // what stands before the caller's writes
	if by.KeyHash != "" {
		if c.failed[0] {
			return ErrKeyRevoked
		}
		own++
	}
	if i := by.Idempotency; i != nil {
		last := len(c.failed) - 1
		if c.failed[last] {
			if err := t.Answered(ctx, cmp.Or(i.Owner, tenantID), i.Key, i.BodyHash); err != nil {
				return err
			}
			return errRaced // it expired this moment
		}
		c.failed = c.failed[:last]
	}
	c.failed = c.failed[own:]
	return c
}

// keep is the write that keeps an answer under an idempotency key that is not in
// use.
func (t *Table) keep(tenantID string, i Idempotency) *dynamo.Put {
	now := t.clock.Now()
	expires := now.Add(idempotencyLife).Unix()
	return t.items.Put(idempotencyRow{key: idempotencyKey(cmp.Or(i.Owner, tenantID), i.Key), BodyHash: i.BodyHash,
		Status: i.Status, Body: i.Body, ExpiresAt: expires, TTL: expires}).
		If("attribute_not_exists(PK) OR ExpiresAt <= ?", now.Unix())
}

// isGood is the condition that a key is the tenant's, not revoked and not expired,
// and the tenant not closed; its values are those of good.
const isGood = "'Key'.'State' = ? AND 'Key'.'Tenant' = ? AND 'Key'.'Entitlement'.'State' <> ? AND (ExpiresUnix = ? OR ExpiresUnix > ?)"

func (t *Table) good(tenantID string) []any {
	return []any{KeyActive, tenantID, tenant.Closed, 0, t.clock.Now().Unix()}
}

// goodKey checks that a key is good.
func (t *Table) goodKey(tenantID, hash string) *dynamo.ConditionCheck {
	return t.items.Check("PK", keyPK(hash)).Range("SK", keySK).If(isGood, t.good(tenantID)...)
}
