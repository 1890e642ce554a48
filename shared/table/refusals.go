package table

import (
	"context"
	"time"

	"outpost/shared/audit"
	"outpost/shared/id"
)

// NoteRefusal writes that a change was refused. What the same actor was refused
// for the same reason within a minute is one row: its first event, counted, with
// the minute as its time. Its key follows from the three, so that one write does
// it.
func (t *Table) NoteRefusal(ctx context.Context, tenantID, reason string, e audit.Event) error {
	e.At = e.At.Truncate(time.Minute) // as its key: a range of time finds it by what it shows
	e.ID = id.Derived(id.Audit, e.At, e.Actor+"\x00"+reason)
	row := newAuditRow(tenantID, e)
	return t.again(ctx, func() error {
		return written(t.items.Update("PK", row.PK).Range("SK", row.SK).SetIfNotExists("Event", row.Event).Add("Count", 1).
			Set("GSI1PK", row.GSI1PK).Set("GSI1SK", row.GSI1SK).SetIfNotExists("TTL", row.TTL).Run(ctx), nil)
	})
}
