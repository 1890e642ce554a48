package table

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/plan"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// Admission is a submission that is to be accepted whole or not at all.
type Admission struct {
	Caller     tenant.Caller
	Task       task.Task // with its Runs
	Prompt     string
	RunsPerDay int // plan.Unlimited: counted, not limited
	// Idempotency is nil when the caller sent no key.
	Idempotency *Idempotency
	Audit       audit.Event
}

// Idempotency is what is kept under an idempotency key for 24 hours.
type Idempotency struct {
	Owner    string // whose keys these are; the tenant of the change where it is empty
	Key      string // as sent
	BodyHash string
	Status   int // the answer that a repeat gets
	Body     []byte
}

// Admit accepts a submission in one transaction: the idempotency record, the
// checks of key and tenant, the day's meter, the tenant's load, the task, its
// prompt, runs and queue entries, and the audit event. It returns *Replay or
// ErrIdempotencyMismatch for a used idempotency key, ErrKeyRevoked,
// ErrTenantInactive, ErrLimitsChanged, *QuotaError, or ErrConflict.
func (t *Table) Admit(ctx context.Context, tenantID string, a Admission) error {
	a.Task.Agents = task.AgentsOf(a.Task.Runs)
	return t.again(ctx, func() error {
		err := transacted(t.admission(tenantID, a).Run(ctx))
		var c *conditionFailed
		if !errors.As(err, &c) {
			return err
		}
		return t.refusal(ctx, tenantID, a, c.failed)
	})
}

// The places of the conditions in the transaction.
const (
	condKey = iota
	condTenant
	condMeter
	condTask
	condIdempotency
)

type writeTx interface{ Run(context.Context) error }

func (t *Table) admission(tenantID string, a Admission) writeTx {
	now := t.clock.Now()
	pk := tenantPK(tenantID)
	n := len(a.Task.Runs)
	tx := t.db.WriteTx().Idempotent(true)
	tx.Check(t.goodKey(tenantID, a.Caller.KeyHash))
	tx.Check(t.unchangedTenant(tenantID, a.Caller.Entitlement.Version))
	meter := t.items.Update("PK", pk).Range("SK", meterSK(a.Task.CreatedAt)).
		Add("Used", n).Set("TTL", now.Add(usageLife).Unix())
	switch {
	case a.RunsPerDay == plan.Unlimited:
	case n > a.RunsPerDay: // never, not even on a day without a row
		meter.If("Used < ?", 0)
	default:
		meter.If("attribute_not_exists(Used) OR Used <= ?", a.RunsPerDay-n)
	}
	tx.Update(meter)
	tx.Put(t.items.Put(newTaskRow(tenantID, a.Task, 1)).If("attribute_not_exists(PK)"))
	if i := a.Idempotency; i != nil {
		tx.Put(t.keep(tenantID, *i))
	}
	tx.Update(t.waits(tenantID).Add("Waiting", n).Add("Running", 0).Add("Version", 1))
	tx.Put(t.items.Put(promptRow{key{pk, promptSK(a.Task.ID)}, a.Prompt}))
	tx.Put(t.items.Put(newAuditRow(tenantID, a.Audit)))
	for _, r := range a.Task.Runs {
		r.Timeout = a.Task.Spec.Timeout
		row, err := newRunRow(tenantID, r, 1)
		if err != nil {
			return failedTx{err}
		}
		tx.Put(t.items.Put(row))
		tx.Put(t.items.Put(newQueueRow(tenantID, r)))
	}
	return tx
}

// waits is an update of a tenant's load, made if need be, that puts the tenant into
// the waiting index.
func (t *Table) waits(tenantID string) *dynamo.Update {
	return t.items.Update("PK", tenantPK(tenantID)).Range("SK", loadSK).
		Set("GSI2PK", waitingPK(tenantID)).SetIfNotExists("GSI2SK", waitingSK(tenantID, 0))
}

type failedTx struct{ err error }

func (f failedTx) Run(context.Context) error { return f.err }

// refusal tells why an admission was refused, the most telling reason first.
func (t *Table) refusal(ctx context.Context, tenantID string, a Admission, failed []bool) error {
	if failed[condTask] { // an earlier try of this very admission was carried out after all
		var mine auditRow
		err := t.get(ctx, newAuditRow(tenantID, a.Audit).key, &mine)
		if errors.Is(err, ErrNotFound) {
			return ErrExists
		}
		return err
	}
	if a.Idempotency != nil && failed[condIdempotency] {
		if err := t.Answered(ctx, tenantID, a.Idempotency.Key, a.Idempotency.BodyHash); err != nil {
			return err
		}
		return errRaced // it expired this moment
	}
	switch {
	case failed[condKey]:
		return ErrKeyRevoked
	case failed[condTenant]:
		tn, err := t.Tenant(ctx, tenantID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if tn.Entitlement.State != tenant.Active {
			return ErrTenantInactive
		}
		return ErrLimitsChanged
	case failed[condMeter]:
		return t.quota(ctx, tenantID, a)
	default:
		return errRaced // what stood in the way is gone
	}
}

// Answered returns *Replay or ErrIdempotencyMismatch when an idempotency key was
// used within 24 hours, and nil when it was not.
func (t *Table) Answered(ctx context.Context, tenantID, idempotencyKeySent, bodyHash string) error {
	var row idempotencyRow
	err := t.get(ctx, idempotencyKey(tenantID, idempotencyKeySent), &row)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && row.ExpiresAt <= t.clock.Now().Unix():
		return nil
	case err != nil:
		return err
	case row.BodyHash != bodyHash:
		return ErrIdempotencyMismatch
	}
	return &Replay{row.Status, row.Body}
}

func idempotencyKey(tenantID, sent string) key {
	sum := sha256.Sum256([]byte(sent))
	return key{tenantPK(tenantID), "IDEM#" + hex.EncodeToString(sum[:])}
}
