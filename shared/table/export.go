package table

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/id"
)

// The audit trail's export: a row for each export of a tenant, numbered without
// gaps, of which the newest is the head of the tenant's chain; and one row for
// who exports now and how far that came.

const (
	exportPrefix   = "EXPORT#"
	exportLeaseKey = "AUDITEXPORT"
)

func exportSK(sequence int) string { return fmt.Sprintf("%s%010d", exportPrefix, sequence) }

type exportRow struct {
	key
	Sequence int
	Day      string
	SHA256   string // of the manifest; empty until the export has ended
}

func (r exportRow) link() audit.Link {
	return audit.Link{Sequence: r.Sequence, Ref: audit.Ref{Day: r.Day, SHA256: r.SHA256}}
}

// ExportHead returns the newest export of a tenant that has ended, the zero Link
// where there is none, and the day of one that was begun behind it; empty for
// none.
func (t *Table) ExportHead(ctx context.Context, tenantID string) (head audit.Link, begun string, err error) {
	var rows []exportRow
	if err := t.newest(ctx, tenantID, exportPrefix, 2, &rows); err != nil {
		return head, "", err
	}
	if len(rows) > 0 && rows[0].SHA256 == "" {
		begun, rows = rows[0].Day, rows[1:]
	}
	if len(rows) > 0 {
		head = rows[0].link()
	}
	return head, begun, nil
}

// BeginExport fixes which day follows a head. It returns ErrStale when that is
// fixed already.
func (t *Table) BeginExport(ctx context.Context, tenantID string, head audit.Link, day string) error {
	n := head.Sequence + 1
	row := exportRow{key: key{tenantPK(tenantID), exportSK(n)}, Sequence: n, Day: day}
	return t.again(ctx, func() error {
		return written(t.items.Put(row).If("attribute_not_exists(PK)").Run(ctx), ErrStale)
	})
}

// EndExport makes an export that was begun the tenant's head. Again with the
// same hash it changes nothing; it returns ErrStale when the export ended with
// another hash, or was not begun.
func (t *Table) EndExport(ctx context.Context, tenantID string, l audit.Link) error {
	return t.again(ctx, func() error {
		err := t.items.Update("PK", tenantPK(tenantID)).Range("SK", exportSK(l.Sequence)).Set("SHA256", l.SHA256).
			If("'Day' = ? AND (attribute_not_exists(SHA256) OR SHA256 = ?)", l.Day, l.SHA256).Run(ctx)
		return written(err, ErrStale)
	})
}

// Exports returns up to limit exports of a tenant that have ended, the oldest
// first, behind a sequence number, and the number to go on behind; 0 at the end.
func (t *Table) Exports(ctx context.Context, tenantID string, after, limit int) (links []audit.Link, next int, err error) {
	var rows []exportRow
	err = t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.Between, exportSK(after+1), exportPrefix+"~").
		Consistent(true).SearchLimit(limit+1).All(ctx, &rows)
	if err != nil {
		return nil, 0, read(err)
	}
	if len(rows) > limit {
		rows, next = rows[:limit], rows[limit-1].Sequence
	}
	for _, r := range rows {
		if r.SHA256 != "" {
			links = append(links, r.link())
		}
	}
	return links, next, nil
}

// AuditBetween returns a tenant's events from a time on and before another, the
// oldest first, as long as they are asked for. An error is the last element.
func (t *Table) AuditBetween(ctx context.Context, tenantID string, from, until time.Time) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		rows := t.items.Get("PK", tenantPK(tenantID)).
			Range("SK", dynamo.Between, auditPrefix+id.FirstULID(from), auditPrefix+id.PreviousULID(id.FirstULID(until))).Consistent(true).Iter()
		var row auditRow
		for rows.Next(ctx, &row) {
			if !yield(row.event(), nil) {
				return
			}
			row = auditRow{}
		}
		if err := rows.Err(); err != nil && !errors.Is(err, dynamo.ErrNotFound) {
			yield(audit.Event{}, err)
		}
	}
}

// ExportProgress is how far the export of all tenants has come.
type ExportProgress struct {
	Done   string // the last day that was exported for every tenant
	Round  string // the day that is being exported
	After  string // of that round: the last tenant that was looked at
	Failed bool   // of that round: for one of them at least
}

type exportLeaseRow struct {
	key
	Holder   string
	Until    int64 // Unix milliseconds
	Progress ExportProgress
}

// ExportProgress returns how far the export has come.
func (t *Table) ExportProgress(ctx context.Context) (ExportProgress, error) {
	var row exportLeaseRow
	err := t.get(ctx, key{exportLeaseKey, exportLeaseKey}, &row)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return row.Progress, err
}

// LeaseExport makes holder the one who exports until a time, and returns how far
// the export has come. It returns ErrStale while another one holds the lease.
func (t *Table) LeaseExport(ctx context.Context, holder string, until time.Time) (ExportProgress, error) {
	var row exportLeaseRow
	err := t.again(ctx, func() error {
		err := t.items.Update("PK", exportLeaseKey).Range("SK", exportLeaseKey).Set("Holder", holder).Set("Until", until.UnixMilli()).
			If("attribute_not_exists(PK) OR 'Until' <= ? OR 'Holder' = ?", t.clock.Now().UnixMilli(), holder).Value(ctx, &row)
		return written(err, ErrStale)
	})
	return row.Progress, err
}

// SaveExport keeps how far the holder of the lease came; done gives the lease
// back. It returns ErrStale when the lease is another's.
func (t *Table) SaveExport(ctx context.Context, holder string, p ExportProgress, done bool) error {
	return t.again(ctx, func() error {
		u := t.items.Update("PK", exportLeaseKey).Range("SK", exportLeaseKey).Set("Progress", p).If("'Holder' = ?", holder)
		if done {
			u.Set("Until", 0)
		}
		return written(u.Run(ctx), ErrStale)
	})
}
