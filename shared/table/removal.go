package table

import (
	"context"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/id"
)

// TrailExported returns until when a tenant's audit trail was exported, with what
// came late, and whether that is the whole trail, up to its last event.
func (t *Table) TrailExported(ctx context.Context, tenantID string) (until time.Time, whole bool, err error) {
	progress, err := t.ExportProgress(ctx)
	if err != nil {
		return until, false, err
	}
	head, _, err := t.ExportHead(ctx, tenantID)
	if err != nil || head.Day == "" || progress.Done == "" {
		return until, false, err
	}
	if until, err = audit.Begin(head.Day); err != nil {
		return until, false, err
	}
	looked, err := audit.Begin(progress.Done)
	if err != nil {
		return until, false, err
	}
	if looked = looked.Add(-audit.LateDays * aDay); looked.Before(until) {
		until = looked
	}
	until = until.Add(aDay)
	last, err := t.AuditTrail(ctx, tenantID, 1) // behind the rest: what it tells of is not older
	return until, err == nil && (len(last) == 0 || id.Time(last[0].ID).Before(until)), err
}

const aDay = 24 * time.Hour

// removedAtOnce bounds how many rows of a kind one call removes.
const removedAtOnce = 1000

// RemoveRows removes rows of a tenant whose removal has begun, and tells how many it
// did; 0 means that none is left but these, which stay: the tenant's own, those
// that list its exports, and audit events from a time on. It returns ErrStale for
// any other tenant.
func (t *Table) RemoveRows(ctx context.Context, tenantID string, trailUntil time.Time) (removed int, err error) {
	tn, err := t.Tenant(ctx, tenantID)
	if err != nil {
		return 0, err
	}
	if tn.RemovingAt.IsZero() {
		return 0, ErrStale
	}
	for _, remove := range []func() (int, error){
		func() (int, error) {
			return t.removeListed(ctx, keysPK(tenantID), "'Key'.'Tenant' = ?", tenantID)
		},
		func() (int, error) { return t.removeListed(ctx, customersPK(tenantID), "Tenant = ?", tenantID) },
		func() (int, error) { return t.removeSpan(ctx, tenantID, " ", auditPrefix) },
		func() (int, error) {
			return t.removeSpan(ctx, tenantID, auditPrefix, auditPrefix+id.PreviousULID(id.FirstULID(trailUntil)))
		},
		func() (int, error) { return t.removeSpan(ctx, tenantID, after(auditPrefix), exportPrefix) },
		func() (int, error) { return t.removeSpan(ctx, tenantID, after(exportPrefix), "~") },
	} {
		n, err := remove()
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// after is the first key behind all that have a prefix.
func after(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string(prefix[last]+1)
}

// removeSpan removes rows of a tenant's partition between two sort keys, but the
// tenant's own.
func (t *Table) removeSpan(ctx context.Context, tenantID, from, to string) (removed int, err error) {
	var rows []key
	err = t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.Between, from, to).Consistent(true).
		SearchLimit(removedAtOnce).All(ctx, &rows)
	if err != nil {
		return 0, read(err)
	}
	var keys []dynamo.Keyed
	for _, r := range rows {
		if r.SK != tenantSK {
			keys = append(keys, dynamo.Keys{r.PK, r.SK})
		}
	}
	if len(keys) == 0 {
		return 0, nil
	}
	return t.items.Batch("PK", "SK").Write().Delete(keys...).Run(ctx)
}

// removeListed removes rows outside of a tenant's partition that an index lists
// under it, if they are the tenant's. The index may list what is gone, which does
// not count.
func (t *Table) removeListed(ctx context.Context, index, mine, tenantID string) (removed int, err error) {
	var rows []key
	err = t.items.Get("GSI1PK", index).Index("GSI1").SearchLimit(removedAtOnce).All(ctx, &rows)
	if err != nil {
		return 0, read(err)
	}
	for _, r := range rows {
		err := t.items.Delete("PK", r.PK).Range("SK", r.SK).If(mine, tenantID).Run(ctx)
		switch {
		case err == nil:
			removed++
		case !dynamo.IsCondCheckFailed(err):
			return removed, err
		}
	}
	return removed, nil
}

// EndRemoval leaves of a tenant what is kept of one whose data are removed, with
// the last event of its trail. Again it changes nothing. It returns ErrStale for a
// tenant whose removal has not begun.
func (t *Table) EndRemoval(ctx context.Context, tenantID string, by By) error {
	return t.again(ctx, func() error {
		was, err := t.Tenant(ctx, tenantID)
		switch {
		case err != nil:
			return err
		case !was.RemovedAt.IsZero():
			return nil
		case was.RemovingAt.IsZero():
			return ErrStale
		}
		return settled(t.commit(ctx, tenantID, by, func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newTenantRow(was.Removed(t.clock.Now()))).If("'Tenant'.'Entitlement'.'Version' = ?", was.Entitlement.Version))
		}))
	})
}
