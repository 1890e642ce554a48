package table

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/task"
	"outpost/shared/tenant"
)

// Waiter is a hint that a tenant has something to start.
type Waiter struct {
	Tenant      string
	VirtualTime float64
}

// Waiting returns up to limit hints of the waiting index, smallest virtual time
// first.
func (t *Table) Waiting(ctx context.Context, limit int) ([]Waiter, error) {
	var all []Waiter
	for n := range shards {
		var hits []struct{ GSI2SK string }
		err := t.items.Get("GSI2PK", waitingShard(n)).Index("GSI2").SearchLimit(limit).All(ctx, &hits)
		if err != nil {
			return nil, read(err)
		}
		for _, h := range hits {
			virtual, id, _ := strings.Cut(h.GSI2SK, "#")
			v, err := strconv.ParseFloat(virtual, 64)
			if err == nil {
				all = append(all, Waiter{id, v})
			}
		}
	}
	slices.SortFunc(all, func(a, b Waiter) int { return cmp.Compare(a.VirtualTime, b.VirtualTime) })
	return all[:min(limit, len(all))], nil
}

// Standing is what the scheduler judges a tenant by.
type Standing struct {
	Load        tenant.Load
	Entitlement tenant.Entitlement
}

// Standing reads a tenant's load and entitlement consistently, in this order: a
// change of the entitlement moves the load's version on, so that who acts on a
// load with this version acts on no entitlement of before. A tenant that never
// submitted has no load.
func (t *Table) Standing(ctx context.Context, tenantID string) (Standing, error) {
	var row loadRow
	if err := t.get(ctx, key{tenantPK(tenantID), loadSK}, &row); err != nil && !errors.Is(err, ErrNotFound) {
		return Standing{}, err
	}
	tn, err := t.Tenant(ctx, tenantID)
	return Standing{Load: row.load(), Entitlement: tn.Entitlement}, err
}

func (r loadRow) load() tenant.Load {
	return tenant.Load{Waiting: r.Waiting, Running: r.Running, VirtualTime: r.VirtualTime, Version: int64(r.Version)}
}

// QueueEntry is a run that waits.
type QueueEntry struct {
	Run, Task, Agent string
	Priority         task.Priority
}

// Queue returns up to limit waiting runs of a tenant in the order in which they
// are to start.
func (t *Table) Queue(ctx context.Context, tenantID string, limit int) ([]QueueEntry, error) {
	var rows []queueRow
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, "QUEUE#").Consistent(true).SearchLimit(limit).All(ctx, &rows)
	entries := make([]QueueEntry, len(rows))
	for i, r := range rows {
		entries[i] = QueueEntry{r.Run, r.Task, r.Agent, r.Priority}
	}
	return entries, read(err)
}

// Start is the start of one waiting run.
type Start struct {
	Entry       QueueEntry
	Cap         int         // runs in flight that the tenant may have
	Load        tenant.Load // as read
	VirtualTime float64     // the tenant's new one
	LeaseUntil  time.Time
}

// StartRun moves a run from the queue to starting in one transaction and
// returns it with the tenant's new load. It returns ErrStale when the load, the
// queue entry or the run has moved since they were read, or the cap is reached.
func (t *Table) StartRun(ctx context.Context, tenantID string, s Start) (task.Run, tenant.Load, error) {
	row, err := t.runRow(ctx, tenantID, s.Entry.Run)
	if err != nil {
		return task.Run{}, tenant.Load{}, err
	}
	var tk taskRow
	if err := t.get(ctx, key{tenantPK(tenantID), taskSK(s.Entry.Task)}, &tk); err != nil {
		return task.Run{}, tenant.Load{}, err
	}
	run := row.Run
	if run.State != task.Queued {
		return run, tenant.Load{}, ErrStale
	}
	run.State, run.LeaseUntil = task.Starting, s.LeaseUntil
	run.Starts++
	started, err := newRunRow(tenantID, run, row.Version+1)
	if err != nil {
		return run, tenant.Load{}, err
	}
	tx := t.db.WriteTx().Idempotent(true)
	tx.Delete(t.items.Delete("PK", tenantPK(tenantID)).Range("SK", queueSK(run.Priority, run.Task, run.Number)).If("attribute_exists(PK)"))
	tx.Update(t.items.Update("PK", tenantPK(tenantID)).Range("SK", loadSK).
		Add("Waiting", -1).Add("Running", 1).Add("Version", 1).
		Set("VirtualTime", s.VirtualTime).Set("GSI2SK", waitingSK(tenantID, s.VirtualTime)).
		If("'Version' = ? AND Running < ? AND Waiting > ?", s.Load.Version, s.Cap, 0))
	tx.Put(t.items.Put(started).If("'Version' = ?", row.Version))
	if tk.Task.State == task.Queued {
		tk.Task.State, tk.Task.StartedAt = task.Running, t.clock.Now()
		tx.Put(t.items.Put(newTaskRow(tenantID, tk.Task, tk.Version+1)).If("'Version' = ?", tk.Version))
	}
	tx.Put(t.items.Put(t.moved(tenantID, "scheduler", "run.start", row.Run, run, "")))
	err = transacted(tx.Run(ctx))
	var c *conditionFailed
	if errors.As(err, &c) || errors.Is(err, errRaced) {
		err = ErrStale
	}
	load := s.Load
	load.Waiting, load.Running, load.Version, load.VirtualTime = load.Waiting-1, load.Running+1, load.Version+1, s.VirtualTime
	return run, load, err
}

// Park takes a tenant out of the waiting index, unless its load has moved since
// it was read: then it returns ErrStale. Only the scheduler parks.
func (t *Table) Park(ctx context.Context, tenantID string, load tenant.Load) error {
	err := t.items.Update("PK", tenantPK(tenantID)).Range("SK", loadSK).Remove("GSI2PK").If("'Version' = ?", load.Version).Run(ctx)
	if err = written(err, ErrStale); errors.Is(err, errRaced) {
		return ErrStale
	}
	return err
}

// FleetVirtualTime returns the virtual time of the whole fleet.
func (t *Table) FleetVirtualTime(ctx context.Context) (float64, error) {
	var row fleetRow
	err := t.get(ctx, key{fleetKey, fleetKey}, &row)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return row.VirtualTime, err
}

// SetFleetVirtualTime moves the fleet's virtual time forward; it never goes
// back.
func (t *Table) SetFleetVirtualTime(ctx context.Context, v float64) error {
	return t.again(ctx, func() error {
		err := t.items.Put(fleetRow{key{fleetKey, fleetKey}, v}).If("attribute_not_exists(PK) OR VirtualTime < ?", v).Run(ctx)
		return written(err, nil)
	})
}

// CountInflight returns about how many runs are in flight over all tenants.
func (t *Table) CountInflight(ctx context.Context) (int, error) {
	sum := 0
	for n := range shards {
		count, err := t.items.Get("GSI2PK", inflightShard(n)).Index("GSI2").Count(ctx)
		if err != nil {
			return 0, read(err)
		}
		sum += count
	}
	return sum, nil
}

// InflightRun is a hint that a run is due.
type InflightRun struct {
	Tenant, Run string
	Due         time.Time
}

// Overdue returns up to limit hints of runs that the reaper is to look after at now or before,
// the longest overdue first in each shard of the index.
func (t *Table) Overdue(ctx context.Context, now time.Time, limit int) ([]InflightRun, error) {
	var runs []InflightRun
	for n := range shards {
		var hits []struct{ GSI2SK string }
		err := t.items.Get("GSI2PK", inflightShard(n)).Index("GSI2").
			Range("GSI2SK", dynamo.LessOrEqual, inflightSK(now, "~", "")).SearchLimit(limit).All(ctx, &hits)
		if err != nil {
			return nil, read(err)
		}
		for _, h := range hits {
			parts := strings.SplitN(h.GSI2SK, "#", 3)
			if len(parts) != 3 {
				continue
			}
			ms, err := strconv.ParseInt(parts[0], 10, 64)
			if err == nil {
				runs = append(runs, InflightRun{parts[1], parts[2], time.UnixMilli(ms).UTC()})
			}
		}
	}
	slices.SortFunc(runs, func(a, b InflightRun) int { return a.Due.Compare(b.Due) })
	return runs[:min(limit, len(runs))], nil
}
