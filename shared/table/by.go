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
}

// commit carries out writes in one transaction with the check of the key and
// the audit event, and what is kept under the caller's idempotency key. It returns
// ErrKeyRevoked, *Replay or ErrIdempotencyMismatch for a used idempotency key,
// *conditionFailed when a condition of the writes does not hold, in their order,
// or errRaced.
func (t *Table) commit(ctx context.Context, tenantID string, by By, writes func(*dynamo.WriteTx)) error {
	tx := t.db.WriteTx().Idempotent(true)
	if by.KeyHash != "" {
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

// goodKey is the condition that a key is the tenant's, not revoked and not
// expired, and the tenant not closed.
func (t *Table) goodKey(tenantID, hash string) *dynamo.ConditionCheck {
	return t.items.Check("PK", keyPK(hash)).Range("SK", keySK).
		If("'Key'.'State' = ? AND 'Key'.'Tenant' = ? AND 'Key'.'Entitlement'.'State' <> ? AND (ExpiresUnix = ? OR ExpiresUnix > ?)",
			KeyActive, tenantID, tenant.Closed, 0, t.clock.Now().Unix())
}
