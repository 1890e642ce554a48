package table

import (
	"context"
	"errors"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
)

// By is who makes a change: what the audit trail says of it, and the API key
// that must be good at that very moment.
type By struct {
	KeyHash string // empty for who has none: an operator, or Outpost itself
	Audit   audit.Event
}

// commit carries out writes in one transaction with the check of the key and
// the audit event. It returns ErrKeyRevoked, *conditionFailed when a condition of
// the writes does not hold, in their order, or errRaced.
func (t *Table) commit(ctx context.Context, tenantID string, by By, writes func(*dynamo.WriteTx)) error {
	tx := t.db.WriteTx().Idempotent(true)
	if by.KeyHash != "" {
		tx.Check(t.goodKey(tenantID, by.KeyHash))
	}
	tx.Put(t.items.Put(newAuditRow(tenantID, by.Audit)))
	writes(tx)
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
	c.failed = c.failed[own:]
	return c
}

// goodKey is the condition that a key is the tenant's, not revoked and not
// expired.
func (t *Table) goodKey(tenantID, hash string) *dynamo.ConditionCheck {
	return t.items.Check("PK", keyPK(hash)).Range("SK", keySK).
		If("'Key'.'State' = ? AND 'Key'.'Tenant' = ? AND (ExpiresUnix = ? OR ExpiresUnix > ?)", KeyActive, tenantID, 0, t.clock.Now().Unix())
}
