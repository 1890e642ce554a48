package table

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"outpost/shared/plan"
)

func (t *Table) quota(ctx context.Context, tenantID string, a Admission) error {
	used, err := t.DayMeter(ctx, tenantID, a.Task.CreatedAt)
	if err != nil {
		return err
	}
	midnight := a.Task.CreatedAt.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return &QuotaError{Limit: a.RunsPerDay, Used: used, Wanted: len(a.Task.Runs), ResetsAt: midnight}
}

// DayMeter returns how many runs were admitted on a UTC day.
func (t *Table) DayMeter(ctx context.Context, tenantID string, day time.Time) (int, error) {
	var row meterRow
	err := t.get(ctx, key{tenantPK(tenantID), meterSK(day)}, &row)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return row.Used, err
}

// warnings are the parts of a day's quota, in percent, at which its tenant is
// warned, the highest first.
var warnings = []int{100, 80}

// WarnOfQuota writes an audit event quota.warning when the runs of a UTC day have
// reached 80 or 100 % of a limit, each once a day and the higher one alone when both
// are reached together. A limit that was changed is another, with warnings of its
// own. It returns the percentage that it warned of; 0 for none. An error means that
// the next submission warns.
func (t *Table) WarnOfQuota(ctx context.Context, tenantID string, day time.Time, limit int) (percent int, err error) {
	if limit == plan.Unlimited {
		return 0, nil
	}
	err = t.again(ctx, func() error {
		var row meterRow
		if err := t.get(ctx, key{tenantPK(tenantID), meterSK(day)}, &row); errors.Is(err, ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		w := row.due(limit)
		if w == 0 {
			return nil
		}
		tx := t.db.WriteTx().Idempotent(true)
		tx.Update(t.items.Update("PK", row.PK).Range("SK", row.SK).AddStringsToSet("Warnings", warning(limit, w)).
			If("attribute_not_exists(Warnings) OR NOT (contains(Warnings, ?) OR contains(Warnings, ?))", warning(limit, w), warning(limit, warnings[0])))
		tx.Put(t.items.Put(t.acted(tenantID, "quota", "quota.warning", tenantID, fmt.Sprintf("%d of %d runs of %s", row.Used, limit, day.UTC().Format(time.DateOnly)))))
		err := transacted(tx.Run(ctx))
		var c *conditionFailed
		if errors.As(err, &c) {
			return errRaced // another warned, maybe of the lower part alone
		}
		if err == nil {
			percent = w
		}
		return err
	})
	return percent, err
}

// due is the warning that a day's meter calls for; 0 for none.
func (m meterRow) due(limit int) int {
	for _, w := range warnings {
		if slices.Contains(m.Warnings, warning(limit, w)) {
			return 0
		}
		if m.Used*100 >= limit*w {
			return w
		}
	}
	return 0
}

// warning is how a meter remembers that it warned.
func warning(limit, percent int) string { return fmt.Sprintf("%d:%d", limit, percent) }
