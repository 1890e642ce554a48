package table

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/id"
	"outpost/shared/task"
)

// change applies a rule to a run and writes the result, if the row is still the
// one that the rule saw; else it starts over. A rule that finds its work done
// returns errUnchanged or changes nothing: the run is returned as it is.
func (t *Table) change(ctx context.Context, tenantID, runID string, rule func(*task.Run) error) (run task.Run, err error) {
	return t.changeWith(ctx, tenantID, runID, rule, func(changed, was runRow) error {
		return written(t.items.Put(changed).If("'Version' = ?", was.Version).Run(ctx), errRaced)
	})
}

// changeWith is change with a write of its own, whose condition is the version.
func (t *Table) changeWith(ctx context.Context, tenantID, runID string, rule func(*task.Run) error, write func(changed, was runRow) error) (run task.Run, err error) {
	err = t.again(ctx, func() error {
		row, err := t.runRow(ctx, tenantID, runID)
		if err != nil {
			return err
		}
		run = row.Run
		if err := rule(&run); err != nil {
			run = row.Run
			if errors.Is(err, errUnchanged) {
				return nil
			}
			return err
		}
		if reflect.DeepEqual(run, row.Run) {
			return nil // as after a lost answer
		}
		changed, err := newRunRow(tenantID, run, row.Version+1)
		if err != nil {
			return err
		}
		return write(changed, row)
	})
	return run, err
}

// BeginAttempt makes the run's next attempt, on Spot capacity if spot says so and
// none before was lost, or, when one is open because a
// launch is being repeated, stores the new task token with it. While nobody has
// claimed it, the reaper looks after it first lookAfter it was made: that is set
// here, where the index is written anyway, and not with the container. It returns
// ErrStale when the run has ended, has a result, was started again since, or
// lost an attempt that is not settled yet, and ErrCancelled when a cancel was
// requested.
func (t *Table) BeginAttempt(ctx context.Context, tenantID, runID string, start int, taskToken string, spot bool, lookAfter time.Duration, leaseUntil time.Time) (task.Run, error) {
	return t.changeWith(ctx, tenantID, runID, func(r *task.Run) error {
		switch {
		case !r.State.InFlight() || r.Starts != start || r.Result != nil || r.Attempt.Unsettled():
			return ErrStale
		case !r.CancelRequestedAt.IsZero():
			return ErrCancelled
		}
		if !r.Attempt.Open() {
			if r.Attempt.Container != "" {
				r.LastContainer = r.Attempt.Container
			}
			r.EarlierSpend = r.EarlierSpend.Add(r.Attempt.Spend)
			now := t.clock.Now()
			r.Attempt = task.Attempt{Number: r.Attempt.Number + 1, MadeAt: now, LookAt: now.Add(lookAfter), OnDemand: !spot || r.InfraRetries > 0}
			r.State = task.Starting
		}
		r.Attempt.TaskToken, r.LeaseUntil = taskToken, leaseUntil
		return nil
	}, func(changed, was runRow) error {
		put := t.items.Put(changed).If("'Version' = ?", was.Version)
		if changed.Run.State == was.Run.State {
			return written(put.Run(ctx), errRaced)
		}
		// A container that was thought not to have found room had claimed its attempt.
		tx := t.db.WriteTx().Idempotent(true)
		tx.Put(put)
		tx.Put(t.items.Put(t.moved(tenantID, "launch", "run.retry", was.Run, changed.Run, string(was.Run.Attempt.End.Cause))))
		return settled(transacted(tx.Run(ctx)))
	})
}

// SetContainer stores the ARN of the current attempt's container, even when the
// attempt has ended meanwhile: the next launch must know what to stop. It
// returns ErrStale when the attempt was superseded or the run has ended.
func (t *Table) SetContainer(ctx context.Context, tenantID, runID string, attempt int, arn string) error {
	_, err := t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if r.Attempt.Number != attempt || !r.State.InFlight() {
			return ErrStale
		}
		if r.Attempt.Container == arn {
			return errUnchanged
		}
		r.Attempt.Container = arn
		return nil
	})
	return err
}

// live tells whether a report of an attempt may still change the run.
func live(r *task.Run, attempt int) bool {
	return r.State.InFlight() && r.Attempt.Number == attempt && r.Attempt.Open() && r.Result == nil
}

// holds tells whether an attempt was claimed with a nonce; before the claim no
// nonce holds it, not even an empty one.
func holds(r *task.Run, nonce string) bool { return nonce != "" && r.Attempt.Nonce == nonce }

// Claim binds an attempt to a nonce and sets the run running, together with the
// audit event; its deadline is set by the first claim of all attempts. The same
// nonce may ask again.
// It returns ErrNonceBound for another one, ErrCancelled when a cancel was
// requested, and ErrStale when the attempt is over.
func (t *Table) Claim(ctx context.Context, tenantID, runID string, attempt int, nonce string, leaseUntil time.Time, by By) (task.Run, error) {
	if nonce == "" {
		return task.Run{}, errors.New("claim: the nonce is empty")
	}
	return t.changeWith(ctx, tenantID, runID, func(r *task.Run) error {
		switch {
		case !live(r, attempt):
			return ErrStale
		case r.Attempt.Nonce != "" && r.Attempt.Nonce != nonce:
			return ErrNonceBound
		case !r.CancelRequestedAt.IsZero():
			return ErrCancelled
		case r.Attempt.Nonce == nonce:
			return errUnchanged
		}
		now := t.clock.Now()
		r.Attempt.Nonce, r.State, r.LeaseUntil = nonce, task.Running, leaseUntil
		if r.StartedAt.IsZero() {
			r.StartedAt, r.Deadline = now, now.Add(r.Timeout)
		}
		return nil
	}, func(changed, was runRow) error {
		return settled(t.commit(ctx, tenantID, by.changing(runFacts(was.Run), runFacts(changed.Run)), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(changed).If("'Version' = ?", was.Version))
		}))
	})
}

// Heartbeat extends the lease of a claimed attempt and stores what it has spent
// so far. It returns ErrStale when the attempt is over or held by another nonce.
func (t *Table) Heartbeat(ctx context.Context, tenantID, runID string, attempt int, nonce string, spend task.Spend, leaseUntil time.Time) (task.Run, error) {
	return t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if !live(r, attempt) || !holds(r, nonce) {
			return ErrStale
		}
		r.LeaseUntil, r.Attempt.Spend = leaseUntil, spend
		return nil
	})
}

// StoreResult stores the result of a claimed attempt, once. The same attempt
// again gets the run as it is. It returns ErrStale when the attempt is over or
// held by another nonce.
func (t *Table) StoreResult(ctx context.Context, tenantID, runID string, attempt int, nonce string, result task.Result) (task.Run, error) {
	return t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if r.Attempt.Number != attempt || !holds(r, nonce) {
			return ErrStale
		}
		if r.Result != nil {
			return errUnchanged
		}
		if !live(r, attempt) {
			return ErrStale
		}
		r.Result = &result
		return nil
	})
}

// EndAttempt records why an attempt ended without a result. A lease that ended
// counts only if nobody extended it meanwhile. A run that has a result, has
// ended, or whose attempt has ended already is returned as it is; ErrStale
// means that the attempt was superseded or its lease extended.
func (t *Table) EndAttempt(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error) {
	return t.change(ctx, tenantID, runID, func(r *task.Run) error { return endAttempt(r, attempt, end) })
}

// EndUnclaimed is EndAttempt for an end that somebody saw from outside before
// the claim: it counts only if nobody has claimed the attempt meanwhile, else
// ErrStale.
func (t *Table) EndUnclaimed(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error) {
	return t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if live(r, attempt) && !r.Attempt.Unclaimed() {
			return ErrStale
		}
		return endAttempt(r, attempt, end)
	})
}

func endAttempt(r *task.Run, attempt int, end task.AttemptEnd) error {
	switch {
	case r.Attempt.Number != attempt:
		return ErrStale
	case !live(r, attempt):
		return errUnchanged
	case end.Cause == task.LeaseExpired && r.LeaseUntil.After(end.At):
		return ErrStale
	}
	r.Attempt.End = end
	if end.Cause == task.ContainerStopped && end.At.Before(r.LeaseUntil) {
		r.LeaseUntil = end.At // nobody works any more: where its execution broke, too, the reaper need not wait
	}
	if end.Cause != task.NoCapacity {
		r.NoCapacitySince = time.Time{}
	} else if r.NoCapacitySince.IsZero() {
		r.NoCapacitySince = end.At
	}
	return nil
}

// PutOffLook gives an attempt that nobody has claimed yet until a later time
// before the reaper looks after it again. It changes nothing once the attempt
// is claimed or over.
func (t *Table) PutOffLook(ctx context.Context, tenantID, runID string, attempt int, until time.Time) error {
	_, err := t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if !live(r, attempt) || !r.Attempt.Unclaimed() || !r.Attempt.LookAt.Before(until) {
			return errUnchanged
		}
		r.Attempt.LookAt = until
		return nil
	})
	return err
}

// ExtendLease gives an in-flight run until a later time before the reaper looks
// at it again.
func (t *Table) ExtendLease(ctx context.Context, tenantID, runID string, until time.Time) error {
	_, err := t.change(ctx, tenantID, runID, func(r *task.Run) error {
		if !r.State.InFlight() || !r.LeaseUntil.Before(until) {
			return errUnchanged
		}
		r.LeaseUntil = until
		return nil
	})
	return err
}

// PinCommit fixes the commit of a task: the first offer wins, and is returned
// to everyone.
func (t *Table) PinCommit(ctx context.Context, tenantID, taskID, commit string) (pinned string, err error) {
	if _, err := id.ULID(id.Task, taskID); err != nil {
		return "", ErrNotFound
	}
	err = t.again(ctx, func() error {
		var row taskRow
		if err := t.get(ctx, key{tenantPK(tenantID), taskSK(taskID)}, &row); err != nil {
			return err
		}
		if pinned = row.Task.Commit; pinned != "" {
			return nil
		}
		row.Task.Commit, pinned = commit, commit
		return written(t.items.Put(newTaskRow(tenantID, row.Task, row.Version+1)).If("'Version' = ?", row.Version).Run(ctx), errRaced)
	})
	return pinned, err
}
