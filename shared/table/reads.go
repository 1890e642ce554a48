package table

import (
	"context"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/ledger"
	"outpost/shared/task"
)

// Task returns a task with its runs, by one consistent query.
func (t *Table) Task(ctx context.Context, tenantID, taskID string) (task.Task, error) {
	if _, err := id.ULID(id.Task, taskID); err != nil {
		return task.Task{}, ErrNotFound
	}
	var items []taskItem
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, taskSK(taskID)).Consistent(true).All(ctx, &items)
	if err != nil {
		return task.Task{}, read(err)
	}
	if len(items) == 0 || items[0].Task == nil {
		return task.Task{}, ErrNotFound
	}
	tk := *items[0].Task
	for _, i := range items[1:] {
		tk.Runs = append(tk.Runs, *i.Run)
	}
	return tk, nil
}

// Prompt returns a task's prompt.
func (t *Table) Prompt(ctx context.Context, tenantID, taskID string) (string, error) {
	if _, err := id.ULID(id.Task, taskID); err != nil {
		return "", ErrNotFound
	}
	var row promptRow
	err := t.get(ctx, key{tenantPK(tenantID), promptSK(taskID)}, &row)
	return row.Prompt, err
}

// Run returns one run.
func (t *Table) Run(ctx context.Context, tenantID, runID string) (task.Run, error) {
	row, err := t.runRow(ctx, tenantID, runID)
	return row.Run, err
}

func (t *Table) runRow(ctx context.Context, tenantID, runID string) (row runRow, err error) {
	sk, err := runSK(runID)
	if err != nil {
		return row, err
	}
	err = t.get(ctx, key{tenantPK(tenantID), sk}, &row)
	return row, err
}

// TaskRange is a part of a tenant's list of tasks.
type TaskRange struct {
	After        string    // id of the task that the part begins behind; empty: the newest
	Since, Until time.Time // created at Since or later, before Until; zero: without end
}

// Tasks returns up to limit tasks of a range without their runs, newest first.
// It reads no task outside of the range, whose times count by the millisecond.
// next is empty at the end, else what to pass as After.
func (t *Table) Tasks(ctx context.Context, tenantID string, r TaskRange, limit int) (tasks []task.Task, next string, err error) {
	q := t.items.Get("GSI1PK", tenantPK(tenantID)+"#TASKS").Index("GSI1").Order(dynamo.Descending).SearchLimit(limit + 1)
	from, last, err := ulidRange(id.Task, r.After, r.Since, r.Until)
	if err != nil || from > last {
		return nil, "", err
	}
	q.Range("GSI1SK", dynamo.Between, from, last)
	var rows []taskRow
	cut, err := q.AllWithLastEvaluatedKey(ctx, &rows)
	if err != nil {
		return nil, "", read(err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Task.ID
	} else if cut != nil && len(rows) > 0 { // a page ends at 1 MB, before the limit
		next = rows[len(rows)-1].Task.ID
	}
	for _, r := range rows {
		tasks = append(tasks, r.Task)
	}
	return tasks, next, nil
}

// ulidRange returns the first and the last ULID that a part of a list may hold,
// newest first: behind an id of a kind, from a time on and before another. There
// are none when from is behind last.
func ulidRange(k id.Kind, after string, since, until time.Time) (from, last string, err error) {
	from, last = id.FirstULID(since), "~" // behind every ULID
	if !until.IsZero() {
		last = id.PreviousULID(id.FirstULID(until.Add(time.Millisecond - 1))) // a part of a millisecond still belongs to the range
	}
	if after != "" {
		u, err := id.ULID(k, after)
		if err != nil {
			return "", "", ErrNotFound
		}
		last = min(last, id.PreviousULID(u))
	}
	return from, last, nil
}

// PutEvents stores a batch of an attempt's events, which are in order. The same
// batch twice is stored once.
func (t *Table) PutEvents(ctx context.Context, tenantID, runID string, attempt int, events []task.Event) error {
	taskID, n, err := id.SplitRun(runID)
	if err != nil {
		return ErrNotFound
	}
	if len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if task.EventAttempt(e.Seq) != attempt {
			return ErrStale
		}
	}
	return t.items.Put(eventRow{key: key{tenantPK(tenantID), eventSK(taskID, n, events[0].Seq)},
		Events: events, TTL: t.clock.Now().Add(eventLife).Unix()}).Run(ctx)
}

// RunEvents returns up to limit events of a run that follow afterSeq, oldest
// first and each once, however the batches overlap, and whether more are stored.
func (t *Table) RunEvents(ctx context.Context, tenantID, runID string, afterSeq int64, limit int) (events []task.Event, more bool, err error) {
	taskID, n, err := id.SplitRun(runID)
	if err != nil {
		return nil, false, ErrNotFound
	}
	// The batch that holds the next event may begin before it.
	from := max(afterSeq-task.MaxEventBatch, 0)
	iter := t.items.Get("PK", tenantPK(tenantID)).
		Range("SK", dynamo.Between, eventSK(taskID, n, from), eventSK(taskID, n, 1<<62)).
		Consistent(true).Iter()
	var row eventRow
	last := afterSeq
	for iter.Next(ctx, &row) {
		for _, e := range row.Events {
			if e.Seq <= last {
				continue
			}
			if len(events) == limit {
				return events, true, nil
			}
			events = append(events, e)
			last = e.Seq
		}
		row = eventRow{}
	}
	return events, false, read(iter.Err())
}

// AuditTrail returns up to limit audit events, newest first.
func (t *Table) AuditTrail(ctx context.Context, tenantID string, limit int) ([]audit.Event, error) {
	var rows []auditRow
	err := t.newest(ctx, tenantID, auditPrefix, limit, &rows)
	events := make([]audit.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events, err
}

// LedgerRows returns up to limit rows of the ledger, newest first.
func (t *Table) LedgerRows(ctx context.Context, tenantID string, limit int) ([]ledger.Row, error) {
	var rows []ledgerRow
	err := t.newest(ctx, tenantID, "LEDGER#", limit, &rows)
	out := make([]ledger.Row, len(rows))
	for i, r := range rows {
		out[i] = r.Row
	}
	return out, err
}

func (t *Table) newest(ctx context.Context, tenantID, prefix string, limit int, rows any) error {
	return read(t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, prefix).
		Order(dynamo.Descending).Consistent(true).SearchLimit(limit).All(ctx, rows))
}
