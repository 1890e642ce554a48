package table_test

import (
	"math"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/ledger"
	"outpost/shared/table"
	"outpost/shared/task"
)

// However often a run is settled, by however many at once, whatever answer is
// lost: the usage of the day is the sum of the ledger, and of the runs.
func TestTheUsageOfADayIsTheSumOfItsLedger(t *testing.T) {
	c := clock.NewManual(start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	plain := benchOn(t, table.New(client, name, c), c)
	b := *plain
	b.Table = table.New(enginetest.Client(t, enginetest.NewFlaky(11, 0.1, 0.1)), name, c)
	plain.admit(12)
	var runs []task.Run
	for i := range 12 {
		r := plain.running("n")
		plain.clock.Advance(time.Second)
		if i%3 != 2 { // each third loses its worker
			result := success()
			if i%2 == 1 {
				result.CostUSD = nil
			}
			_, err := plain.StoreResult(plain.ctx, plain.tenant, r.ID, 1, "n", result)
			plain.must(err)
		} else {
			_, err := plain.RequestCancel(plain.ctx, plain.tenant, r.ID, by("run.cancel"))
			plain.must(err)
			_, err = plain.EndAttempt(plain.ctx, plain.tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 1, At: plain.clock.Now()})
			plain.must(err)
		}
		r, err := plain.Run(plain.ctx, plain.tenant, r.ID)
		plain.must(err)
		runs = append(runs, r)
	}
	all(36, func(i int) {
		r := runs[i%12]
		settlement := table.Settlement{Run: r, Decision: task.Decide(r, b.clock.Now(), task.DefaultTiming), Now: b.clock.Now()}
		for { // as a caller who asks again
			if _, err := b.Settle(b.ctx, b.tenant, settlement); err == nil {
				return
			}
		}
	})
	groups, err := plain.Usage(b.ctx, b.tenant, start, start)
	plain.must(err)
	rows, err := plain.LedgerRows(b.ctx, b.tenant, 100)
	plain.must(err)
	if len(groups) != 1 || groups[0].Day != "2026-11-23" || groups[0].Agent != "claude" || groups[0].Model != "claude-sonnet-4-5" {
		t.Fatalf("groups: %+v", groups)
	}
	var want ledger.Sum
	for _, r := range runs {
		r, err := plain.Run(b.ctx, b.tenant, r.ID)
		plain.must(err)
		want = want.Add(ledger.Of(r))
	}
	got := groups[0].Sum
	if got != want || got.Runs() != 12 || got.Succeeded != 8 || got.Cancelled != 4 || got.Unpriced != 4 {
		t.Errorf("the day has %+v, its runs %+v", got, want)
	}
	cost, tokens := 0.0, int64(0)
	for _, r := range rows {
		tokens += r.Usage.InputTokens
		if r.CostUSD != nil {
			cost += *r.CostUSD
		}
	}
	if math.Abs(cost-got.CostUSD) > 1e-9 || tokens != got.Usage.InputTokens {
		t.Errorf("the ledger has %v USD and %d tokens, the day %v and %d", cost, tokens, got.CostUSD, got.Usage.InputTokens)
	}
	if days, err := plain.Admitted(b.ctx, b.tenant, start, start); err != nil || days["2026-11-23"] != 12 {
		t.Errorf("admitted: %v, %v", days, err)
	}
}

func TestUsageIsOfItsDays(t *testing.T) {
	b := newBench(t)
	b.admit(3)
	for range 3 {
		r := b.running("n")
		r, err := b.StoreResult(b.ctx, b.tenant, r.ID, 1, "n", success())
		b.must(err)
		b.settle(r)
		b.clock.Advance(24 * time.Hour)
	}
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	for _, c := range []struct{ from, to, want int }{{0, 0, 1}, {0, 1, 2}, {1, 2, 2}, {-5, 9, 3}, {3, 9, 0}, {-9, -1, 0}} {
		groups, err := b.Usage(b.ctx, b.tenant, day(c.from), day(c.to))
		if b.must(err); len(groups) != c.want {
			t.Errorf("from %d to %d: %+v", c.from, c.to, groups)
		}
	}
}
