package table

import (
	"context"
	"errors"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/id"
	"outpost/shared/ledger"
	"outpost/shared/task"
)

// Settlement carries out a decision about a run.
type Settlement struct {
	Run      task.Run // as read
	Decision task.Decision
	Now      time.Time
}

// Settle carries out a decision under the condition that the run is still what
// the decision was made of, and returns the run as it is then. Ending a run is
// one transaction: its terminal state, the tenant's load, the task's tally and,
// with the last run, its outcome, the ledger, the day's usage and the audit
// event. A run that
// has ended already is returned as it is; ErrStale means that it moved in
// another way.
func (t *Table) Settle(ctx context.Context, tenantID string, s Settlement) (run task.Run, err error) {
	err = t.again(ctx, func() error {
		row, err := t.runRow(ctx, tenantID, s.Run.ID)
		if err != nil {
			return err
		}
		run = row.Run
		if run.State.Terminal() {
			return nil
		}
		if !sameMoment(run, s.Run) {
			return ErrStale
		}
		switch d := s.Decision; {
		case d.End != "":
			run, err = t.end(ctx, tenantID, row, s)
		case d.Requeue:
			run, err = t.requeue(ctx, tenantID, row)
		case d.InfraRetry:
			run, err = t.tryAgain(ctx, tenantID, row, s)
		}
		return err
	})
	return run, err
}

// sameMoment tells whether a decision about b still fits a: only the lease may
// have moved.
func sameMoment(a, b task.Run) bool {
	return a.State == b.State && a.Starts == b.Starts && a.InfraRetries == b.InfraRetries &&
		a.Attempt.Number == b.Attempt.Number && a.Attempt.End.Cause == b.Attempt.End.Cause &&
		(a.Result == nil) == (b.Result == nil) && a.CancelRequestedAt.IsZero() == b.CancelRequestedAt.IsZero()
}

// settled makes the error of a settlement's write: whatever was in the way, the
// next try reads what it left.
func settled(err error) error {
	var c *conditionFailed
	if errors.As(err, &c) {
		return errRaced
	}
	return err
}

// settler is the actor of settlements.
const settler = "settle"

func (t *Table) end(ctx context.Context, tenantID string, row runRow, s Settlement) (task.Run, error) {
	was, run, d := row.Run.State, row.Run, s.Decision
	if !was.CanBecome(d.End) {
		return run, ErrStale
	}
	run.State, run.Reason, run.Detail, run.EndedAt = d.End, d.Reason, d.Detail, s.Now
	ended, err := newRunRow(tenantID, run, row.Version+1)
	if err != nil {
		return run, err
	}
	var tk taskRow
	if err := t.get(ctx, key{tenantPK(tenantID), taskSK(run.Task)}, &tk); err != nil {
		return run, err
	}
	tk.Task.Tally = tk.Task.Tally.After(d.End)
	if o := tk.Task.Tally.Outcome(); o != "" {
		tk.Task.State, tk.Task.Outcome, tk.Task.EndedAt = task.Completed, o, s.Now
	}

	tx := t.db.WriteTx().Idempotent(true)
	tx.Put(t.items.Put(ended).If("'Version' = ?", row.Version))
	tx.Put(t.items.Put(newTaskRow(tenantID, tk.Task, tk.Version+1)).If("'Version' = ?", tk.Version))
	load := t.items.Update("PK", tenantPK(tenantID)).Range("SK", loadSK).Add("Version", 1).Set("GSI2PK", waitingPK(tenantID))
	if was == task.Queued {
		tx.Delete(t.items.Delete("PK", tenantPK(tenantID)).Range("SK", queueSK(run.Priority, run.Task, run.Number)).If("attribute_exists(PK)"))
		load.Add("Waiting", -1).If("Waiting > ?", 0)
	} else {
		load.Add("Running", -1).If("Running > ?", 0)
	}
	tx.Update(load)
	if spend := run.Spend(); run.Result != nil || !spend.Nothing() {
		ledgerID := id.New(id.Ledger, s.Now)
		tx.Put(t.items.Put(ledgerRow{key{tenantPK(tenantID), "LEDGER#" + ulidOf(ledgerID)},
			ledger.Row{ID: ledgerID, Run: run.ID, Agent: run.Agent, Model: run.Model, Usage: spend.Usage, CostUSD: spend.CostUSD, At: s.Now}}))
	}
	tx.Update(t.usageOf(tenantID, run))
	tx.Put(t.items.Put(t.moved(tenantID, settler, "run."+string(d.End), row.Run, run, string(d.Reason))))
	return run, settled(transacted(tx.Run(ctx)))
}

// requeue sends a run that found no capacity back to the queue.
func (t *Table) requeue(ctx context.Context, tenantID string, row runRow) (task.Run, error) {
	run := row.Run
	run.State, run.NoCapacitySince = task.Queued, time.Time{}
	queued, err := newRunRow(tenantID, run, row.Version+1)
	if err != nil {
		return run, err
	}
	tx := t.db.WriteTx().Idempotent(true)
	tx.Put(t.items.Put(queued).If("'Version' = ?", row.Version))
	tx.Put(t.items.Put(newQueueRow(tenantID, run)))
	tx.Update(t.items.Update("PK", tenantPK(tenantID)).Range("SK", loadSK).
		Add("Running", -1).Add("Waiting", 1).Add("Version", 1).Set("GSI2PK", waitingPK(tenantID)).If("Running > ?", 0))
	tx.Put(t.items.Put(t.moved(tenantID, settler, "run.requeue", row.Run, run, string(row.Run.Attempt.End.Cause))))
	return run, settled(transacted(tx.Run(ctx)))
}

// tryAgain closes the attempt and counts an infrastructure retry, which the
// audit trail tells.
func (t *Table) tryAgain(ctx context.Context, tenantID string, row runRow, s Settlement) (task.Run, error) {
	run := row.Run
	if run.Attempt.End.Cause == "" {
		run.Attempt.End = task.AttemptEnd{Cause: task.LaunchFailed, Detail: "the launch ended without a word", At: s.Now}
	}
	run.Attempt.End.Counted = true
	run.State = task.Starting
	run.InfraRetries++
	again, err := newRunRow(tenantID, run, row.Version+1)
	if err != nil {
		return run, err
	}
	tx := t.db.WriteTx().Idempotent(true)
	tx.Put(t.items.Put(again).If("'Version' = ?", row.Version))
	tx.Put(t.items.Put(t.moved(tenantID, settler, "run.retry", row.Run, run, string(run.Attempt.End.Cause))))
	return run, settled(transacted(tx.Run(ctx)))
}

// RequestCancel notes, once, that somebody wants the run to end, together with
// the audit event. A run that has ended is returned as it is. It returns
// ErrKeyRevoked.
func (t *Table) RequestCancel(ctx context.Context, tenantID, runID string, by By) (run task.Run, err error) {
	err = t.again(ctx, func() error {
		row, err := t.runRow(ctx, tenantID, runID)
		if err != nil {
			return err
		}
		run = row.Run
		if run.State.Terminal() || !run.CancelRequestedAt.IsZero() {
			return nil
		}
		run.CancelRequestedAt = t.clock.Now()
		cancelled, err := newRunRow(tenantID, run, row.Version+1)
		if err != nil {
			return err
		}
		return settled(t.commit(ctx, tenantID, by, func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(cancelled).If("'Version' = ?", row.Version))
		}))
	})
	return run, err
}
