package table_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// list is one that is read in pages, each begun behind the last id of the one
// before.
type list struct {
	name        string
	oldestFirst bool
	page        func(b *bench, after string, limit int) (ids []string, next string, err error)
}

func idsOf[T any](rows []T, next string, err error, idOf func(T) string) ([]string, string, error) {
	var ids []string
	for _, r := range rows {
		ids = append(ids, idOf(r))
	}
	return ids, next, err
}

var lists = []list{
	{"tasks", false, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{After: after}, limit)
		return idsOf(rows, next, err, func(t task.Task) string { return t.ID })
	}},
	{"tasks of a time", false, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{After: after, Since: start.Add(-40 * time.Minute), Until: start.Add(-10 * time.Minute)}, limit)
		return idsOf(rows, next, err, func(t task.Task) string { return t.ID })
	}},
	{"audit events", false, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.AuditEvents(b.ctx, b.tenant, table.AuditRange{After: after}, limit)
		return idsOf(rows, next, err, func(e audit.Event) string { return e.ID })
	}},
	{"audit events of an action", false, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.AuditEvents(b.ctx, b.tenant, table.AuditRange{After: after, Action: "task.create"}, limit)
		return idsOf(rows, next, err, func(e audit.Event) string { return e.ID })
	}},
	{"keys", false, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.Keys(b.ctx, b.tenant, after, limit)
		return idsOf(rows, next, err, func(k table.Key) string { return k.ID })
	}},
	{"tenants", true, func(b *bench, after string, limit int) ([]string, string, error) {
		rows, next, err := b.Tenants(b.ctx, after, limit)
		return idsOf(rows, next, err, func(t tenant.Tenant) string { return t.ID })
	}},
}

// TestGuaranteePagesMissNothingAndRepeatNothing walks every list in pages of one
// to thirty rows while eight writers add tasks, events and tenants of times before,
// between and after those that are there, start runs, cancel and settle them. What
// was in the list when the walk began is in it once, nothing is in it twice, and
// the order holds.
func TestGuaranteePagesMissNothingAndRepeatNothing(t *testing.T) {
	g := guarantee.For(t, "tenancy-8", "A list that is read in pages while others write has each row that was there throughout exactly once.")
	b := newBench(t)
	for n := range g.Pick(60, 25) {
		b.addTask(start.Add(-time.Duration(n) * time.Minute))
		b.addTenant(start.Add(-time.Duration(n) * time.Minute))
		b.addKey(start.Add(-time.Duration(n) * time.Minute))
	}
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	var writes atomic.Int64
	for i := range 8 {
		writers.Go(func() { b.scribble(ctx, rand.New(rand.NewPCG(8, uint64(i))), &writes) })
	}
	walks, pages, rows := 0, 0, 0
	random := rand.New(rand.NewPCG(8, 100))
	for round := 0; round < g.Pick(10, 2) || round < 1000 && writes.Load() < int64(walks); round++ {
		for _, l := range lists {
			there, _, _ := b.walk(l, 1000, &pages)
			seen, twice, disorder := b.walk(l, 1+random.IntN(30), &pages)
			walks++
			rows += len(seen)
			missed := 0
			for row := range there {
				if !seen[row] {
					missed++
				}
			}
			if missed+twice+disorder > 0 || len(there) == 0 {
				t.Errorf("%s: of %d rows %d are missing, %d are there twice, %d stand in disorder", l.name, len(there), missed, twice, disorder)
			}
		}
	}
	stop()
	writers.Wait()
	if writes.Load() < int64(walks) {
		t.Errorf("only %d writes during %d walks: the test tests nothing", writes.Load(), walks)
	}
	g.Figure("lists", fmt.Sprintf("%d: tasks and audit events with and without a filter, keys, tenants", len(lists)))
	g.Figure("walks", fmt.Sprintf("%d, of %d pages and %d rows", walks, pages, rows))
	g.Figure("writes meanwhile", writes.Load())
	g.Figure("seed", 8)
}

// walk reads a list to its end.
func (b *bench) walk(l list, limit int, pages *int) (seen map[string]bool, twice, disorder int) {
	b.t.Helper()
	seen = map[string]bool{}
	last := ""
	for after := ""; ; {
		ids, next, err := l.page(b, after, limit)
		b.must(err)
		*pages++
		for _, row := range ids {
			if seen[row] {
				twice++
			}
			if last != "" && (row > last) != l.oldestFirst {
				disorder++
			}
			seen[row], last = true, row
		}
		if after = next; next == "" {
			return seen, twice, disorder
		}
	}
}

func (b *bench) addTask(at time.Time) {
	a := b.admission(1)
	a.Task.ID, a.Task.CreatedAt = id.New(id.Task, at), at
	a.Task.Runs[0].ID, a.Task.Runs[0].Task = id.ForRun(a.Task.ID, 1), a.Task.ID
	a.RunsPerDay = 1_000_000
	a.Audit.ID, a.Audit.At, a.Audit.Target = id.New(id.Audit, at), at, a.Task.ID
	b.must(b.Admit(b.ctx, b.tenant, a))
}

func (b *bench) addTenant(at time.Time) {
	tn := tenant.Tenant{ID: id.New(id.Tenant, at), Name: "n", Entitlement: tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1}, CreatedAt: at}
	b.must(b.CreateTenant(b.ctx, tn, table.Key{ID: id.New(id.Key, at), Hash: tn.ID, State: table.KeyActive, CreatedAt: at}, by("tenant.create")))
}

// addKey adds a key, which gives its place back.
func (b *bench) addKey(at time.Time) {
	k := table.Key{ID: id.New(id.Key, at), Entitlement: b.caller.Entitlement, State: table.KeyActive, CreatedAt: at}
	k.Hash = k.ID
	err := table.ErrConflict
	for errors.Is(err, table.ErrConflict) { // eight want the same places
		err = b.CreateKey(b.ctx, b.tenant, k, by("key.create"))
	}
	b.must(err)
	for err = table.ErrConflict; errors.Is(err, table.ErrConflict); {
		_, err = b.RevokeKey(b.ctx, b.tenant, k.ID, by("key.revoke"))
	}
	b.must(err)
}

// scribble writes until its context ends.
func (b *bench) scribble(ctx context.Context, random *rand.Rand, writes *atomic.Int64) {
	for ctx.Err() == nil {
		at := start.Add(time.Duration(random.IntN(7200)-3600) * time.Second)
		switch random.IntN(6) {
		case 0, 1:
			b.addTask(at)
		case 2:
			b.addTenant(at)
		case 3:
			b.startSome()
		case 4:
			b.endSome(random)
		case 5:
			b.addKey(at)
		}
		writes.Add(1)
		select {
		case <-time.After(time.Duration(random.IntN(40)) * time.Millisecond): // the readers need the engine, too
		case <-ctx.Done():
		}
	}
}
