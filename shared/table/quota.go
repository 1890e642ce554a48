package table

import (
	"context"
	"errors"
	"fmt"
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
// reached 80 or 100 % of a limit, each at most once a day and the higher one alone
// when both are reached together. It returns the percentage that it warned of; 0
// for none.
func (t *Table) WarnOfQuota(ctx context.Context, tenantID string, day time.Time, limit int) (percent int, err error) {
	if limit == plan.Unlimited {
		return 0, nil
	}
	var row meterRow
	if err := t.get(ctx, key{tenantPK(tenantID), meterSK(day)}, &row); errors.Is(err, ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	for _, w := range warnings {
		if row.Used*100 < limit*w || row.Warned >= w {
			continue
		}
		tx := t.db.WriteTx().Idempotent(true)
		tx.Update(t.items.Update("PK", row.PK).Range("SK", row.SK).Set("Warned", w).If("attribute_not_exists(Warned) OR Warned < ?", w))
		tx.Put(t.items.Put(t.acted(tenantID, "quota", "quota.warning", tenantID, fmt.Sprintf("%d of %d runs of %s", row.Used, limit, day.UTC().Format(time.DateOnly)))))
		err := transacted(tx.Run(ctx))
		var c *conditionFailed
		if errors.As(err, &c) || errors.Is(err, errRaced) {
			return 0, nil // another submission warns, or the next one will
		}
		return w, err
	}
	return 0, nil
}
