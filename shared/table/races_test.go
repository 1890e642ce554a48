package table_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/table"
	"outpost/shared/task"
)

// all runs f n times at once and waits.
func all(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-gate; f(i) })
	}
	close(gate)
	wg.Wait()
}

// newFlakyBench is a bench on an engine that loses answers.
func newFlakyBench(t *testing.T, seed uint64, lose, conflict float64) *bench {
	c := clock.NewManual(start)
	plain := enginetest.Client(t, nil)
	name := enginetest.TableName(t, plain)
	b := benchOn(t, table.New(plain, name, c), c)
	b.Table = table.New(enginetest.Client(t, enginetest.NewFlaky(seed, lose, conflict)), name, c)
	return b
}

func TestASubmissionAboveTheWholeQuotaIsRefusedWithoutAMeter(t *testing.T) {
	b := newBench(t)
	a := b.admission(3)
	a.RunsPerDay = 2
	var quota *table.QuotaError
	if err := b.Admit(b.ctx, b.tenant, a); !errors.As(err, &quota) || quota.Wanted != 3 || quota.Used != 0 {
		t.Errorf("got %v", err)
	}
}

func TestFiftyEqualSubmissionsMakeOneTask(t *testing.T) {
	b := newBench(t)
	var first, replays atomic.Int64
	all(50, func(int) {
		a := b.admission(2)
		a.Idempotency = &table.Idempotency{Key: "k", BodyHash: "h", Status: 202, Body: []byte(a.Task.ID)}
		var replay *table.Replay
		switch err := b.Admit(b.ctx, b.tenant, a); {
		case err == nil:
			first.Add(1)
		case errors.As(err, &replay) && replay.Status == 202:
			replays.Add(1)
		default:
			t.Error(err)
		}
	})
	tasks, next, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{}, 10)
	b.must(err)
	if first.Load() != 1 || replays.Load() != 49 || len(tasks) != 1 || next != "" {
		t.Errorf("%d first answers, %d replays, %d tasks", first.Load(), replays.Load(), len(tasks))
	}
	other := b.admission(1)
	other.Idempotency = &table.Idempotency{Key: "k", BodyHash: "another"}
	if err := b.Admit(b.ctx, b.tenant, other); !errors.Is(err, table.ErrIdempotencyMismatch) {
		t.Errorf("another body: %v", err)
	}
	b.clock.Advance(24*time.Hour + time.Second)
	if err := b.Admit(b.ctx, b.tenant, other); err != nil {
		t.Errorf("after 24 hours: %v", err)
	}
}

func TestAdmissionJudgesTheCallerInItsTransaction(t *testing.T) {
	b := newBench(t)
	stale := b.admission(1)
	stale.Caller.Entitlement.Version = 7
	if err := b.Admit(b.ctx, b.tenant, stale); !errors.Is(err, table.ErrLimitsChanged) {
		t.Errorf("limits of another version: %v", err)
	}
	b.revoke()
	if err := b.Admit(b.ctx, b.tenant, b.admission(1)); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("a revoked key: %v", err)
	}
}

func TestTheCapHoldsUnderManySchedulers(t *testing.T) {
	b := newBench(t)
	b.admit(20)
	const limit = 5
	all(16, func(int) {
		for range 10 {
			if _, err := b.startNext(limit); err != nil && !errors.Is(err, table.ErrStale) && !errors.Is(err, table.ErrNotFound) {
				t.Error(err)
			}
		}
	})
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	inflight, err := b.CountInflight(b.ctx)
	b.must(err)
	if s.Load.Running != limit || s.Load.Waiting != 15 || inflight != limit {
		t.Errorf("load %+v, %d in flight, the cap is %d", s.Load, inflight, limit)
	}
}

func TestOneOfFiftyClaimersWins(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	r, err := b.startNext(1)
	b.must(err)
	r, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token", true, time.Minute, start)
	b.must(err)
	var won, bound atomic.Int64
	all(50, func(i int) {
		switch _, err := b.Claim(b.ctx, b.tenant, r.ID, 1, fmt.Sprint(i), start, by("run.claim")); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, table.ErrNonceBound):
			bound.Add(1)
		case errors.Is(err, table.ErrConflict):
		default:
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d claims won, %d were refused", won.Load(), bound.Load())
	}
}

func TestAResultAndALostLeaseExcludeEachOther(t *testing.T) {
	b := newBench(t)
	for i := range 20 {
		b.admit(1)
		r := b.running("n")
		b.clock.Advance(2 * time.Minute) // past the lease
		var results, ends atomic.Int64
		all(2, func(i int) {
			if i == 0 {
				if _, err := b.StoreResult(b.ctx, b.tenant, r.ID, 1, "n", success()); err == nil {
					results.Add(1)
				} else if !errors.Is(err, table.ErrStale) {
					t.Error(err)
				}
				return
			}
			got, err := b.EndAttempt(b.ctx, b.tenant, r.ID, 1, task.AttemptEnd{Cause: task.LeaseExpired, At: b.clock.Now()})
			b.must(err)
			if got.Attempt.End.Cause == task.LeaseExpired {
				ends.Add(1)
			}
		})
		if results.Load()+ends.Load() != 1 {
			t.Fatalf("round %d: %d results and %d lost leases", i, results.Load(), ends.Load())
		}
		got, err := b.Run(b.ctx, b.tenant, r.ID)
		b.must(err)
		if (got.Result != nil) != (results.Load() == 1) {
			t.Fatalf("round %d: the run says otherwise: %+v", i, got)
		}
	}
}

// launched starts the next run and makes an attempt that nobody has claimed.
func (b *bench) launched() task.Run {
	b.t.Helper()
	b.admit(1)
	r, err := b.startNext(100)
	b.must(err)
	r, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token", true, time.Minute, b.clock.Now().Add(5*time.Minute))
	b.must(err)
	return r
}

// One says that the container has stopped, one that it lives, and the worker
// claims, all at once: the claim or the end is there, never both, and whoever
// lost is told so.
func TestAClaimAndAnEndSeenFromOutsideExcludeEachOther(t *testing.T) {
	b := newBench(t)
	claimed, ended := 0, 0
	for round := range 40 {
		r := b.launched()
		end := task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 137, At: b.clock.Now()}
		var claim, seen error
		all(3, func(i int) {
			switch i {
			case 0:
				_, claim = b.Claim(b.ctx, b.tenant, r.ID, 1, "n", b.clock.Now().Add(time.Minute), by("run.claim"))
			case 1:
				_, seen = b.EndUnclaimed(b.ctx, b.tenant, r.ID, 1, end)
			default:
				if err := b.PutOffLook(b.ctx, b.tenant, r.ID, 1, b.clock.Now().Add(2*time.Minute)); err != nil {
					t.Error(err)
				}
			}
		})
		got, err := b.Run(b.ctx, b.tenant, r.ID)
		b.must(err)
		switch {
		case claim == nil && errors.Is(seen, table.ErrStale) && got.State == task.Running && got.Attempt.Nonce == "n" && got.Attempt.Open():
			claimed++
		case seen == nil && errors.Is(claim, table.ErrStale) && got.State == task.Starting && got.Attempt.Nonce == "" && got.Attempt.End == end:
			ended++
		default:
			t.Fatalf("round %d: the claim got %v, the end %v, and the run is %+v", round, claim, seen, got)
		}
		// Either way the last event may still come, and a claim after an end is late.
		if got.Attempt.Open() {
			continue
		}
		again, err := b.EndAttempt(b.ctx, b.tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 1, At: b.clock.Now().Add(time.Second)})
		b.must(err)
		if !reflect.DeepEqual(again, got) {
			t.Fatalf("a late event made %+v of %+v", again, got)
		}
		if _, err := b.Claim(b.ctx, b.tenant, r.ID, 1, "late", b.clock.Now().Add(time.Minute), by("run.claim")); !errors.Is(err, table.ErrStale) {
			t.Fatalf("a claim after the end: %v", err)
		}
	}
	t.Logf("the claim came first %d times, the end %d times", claimed, ended)
}

// The look comes before the end of the lease, can be put off, and is nobody's
// business once the attempt is claimed, over or another.
func TestAnUnclaimedAttemptIsDueBeforeItsLeaseEnds(t *testing.T) {
	b := newBench(t)
	due := func(r task.Run) time.Time {
		hints, err := b.Overdue(b.ctx, b.clock.Now().Add(time.Hour), 100)
		b.must(err)
		for _, h := range hints {
			if h.Run == r.ID {
				return h.Due
			}
		}
		return time.Time{}
	}
	expect := func(when string, r task.Run, after time.Duration) {
		t.Helper()
		if got := due(r); !got.Equal(start.Add(after)) {
			t.Errorf("%s it is due at %s, want %s after the start", when, got, after)
		}
	}
	r := b.launched()
	expect("launched", r, time.Minute)
	b.must(b.SetContainer(b.ctx, b.tenant, r.ID, 1, "arn"))
	expect("with a container", r, time.Minute)
	b.must(b.PutOffLook(b.ctx, b.tenant, r.ID, 2, start.Add(3*time.Minute)))
	expect("put off for another attempt", r, time.Minute)
	b.must(b.PutOffLook(b.ctx, b.tenant, r.ID, 1, start.Add(2*time.Minute)))
	expect("put off", r, 2*time.Minute)
	b.must(b.PutOffLook(b.ctx, b.tenant, r.ID, 1, start.Add(time.Second)))
	expect("put off to an earlier time", r, 2*time.Minute)
	_, err := b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token 2", true, time.Hour, start.Add(6*time.Minute))
	b.must(err)
	expect("launched again", r, 2*time.Minute)
	b.must(b.PutOffLook(b.ctx, b.tenant, r.ID, 1, start.Add(10*time.Minute)))
	expect("put off beyond its lease", r, 6*time.Minute)
	_, err = b.Claim(b.ctx, b.tenant, r.ID, 1, "n", start.Add(90*time.Second), by("run.claim"))
	b.must(err)
	expect("claimed", r, 90*time.Second)
	b.must(b.PutOffLook(b.ctx, b.tenant, r.ID, 1, start.Add(20*time.Minute)))
	expect("put off too late", r, 90*time.Second)
}

func TestAHeartbeatBeatsTheReaper(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	r := b.running("n")
	b.clock.Advance(2 * time.Minute)
	if _, err := b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "n", task.Spend{}, b.clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EndAttempt(b.ctx, b.tenant, r.ID, 1, task.AttemptEnd{Cause: task.LeaseExpired, At: b.clock.Now()}); !errors.Is(err, table.ErrStale) {
		t.Errorf("the lease was extended, and yet: %v", err)
	}
}

func TestSettledTwentyTimesAtOnceCountsOnce(t *testing.T) {
	b := newBench(t)
	const runs = 6
	tk := b.admit(runs)
	var done []task.Run
	for i := range runs {
		r := b.running(fmt.Sprint(i))
		r, err := b.StoreResult(b.ctx, b.tenant, r.ID, 1, fmt.Sprint(i), success())
		b.must(err)
		done = append(done, r)
	}
	all(20*runs, func(i int) {
		r := done[i%runs]
		for {
			_, err := b.Settle(b.ctx, b.tenant, table.Settlement{Run: r, Decision: task.Decide(r, start, task.DefaultTiming), Now: start})
			if err == nil {
				return
			}
			if !errors.Is(err, table.ErrConflict) {
				t.Error(err)
				return
			}
		}
	})
	got, err := b.Task(b.ctx, b.tenant, tk.ID)
	b.must(err)
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	rows, err := b.LedgerRows(b.ctx, b.tenant, 100)
	b.must(err)
	if got.State != task.Completed || got.Tally != (task.Tally{Total: runs, Succeeded: runs}) || s.Load.Running != 0 || len(rows) != runs {
		t.Errorf("task %s %+v, load %+v, %d ledger rows", got.State, got.Tally, s.Load, len(rows))
	}
}

// A tenant's whole day under lost answers and conflicts: whatever the callers
// were told, the counters agree with the rows.
func TestCountersAgreeWithRowsUnderFaults(t *testing.T) {
	for seed := range uint64(3) {
		b := newFlakyBench(t, seed, 0.08, 0.15)
		all(8, func(worker int) {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range 12 {
				switch random.IntN(3) {
				case 0:
					_ = b.Admit(b.ctx, b.tenant, b.admission(1+random.IntN(3)))
				case 1:
					b.startSome()
				case 2:
					b.endSome(random)
				}
			}
		})
		queued, inflight, admitted := 0, 0, 0
		tasks, _, err := again(func() ([]task.Task, string, error) { return b.Tasks(b.ctx, b.tenant, table.TaskRange{}, 1000) })
		b.must(err)
		for _, tk := range tasks {
			full, _, err := again(func() (task.Task, string, error) { f, err := b.Task(b.ctx, b.tenant, tk.ID); return f, "", err })
			b.must(err)
			remaining := 0
			for _, r := range full.Runs {
				admitted++
				switch {
				case r.State == task.Queued:
					queued++
				case r.State.InFlight():
					inflight++
				}
				if !r.State.Terminal() {
					remaining++
				}
			}
			if full.Tally.Remaining != remaining || (remaining == 0) != (full.State == task.Completed) {
				t.Errorf("seed %d: task %s has %d runs to go and says %+v, %s", seed, tk.ID, remaining, full.Tally, full.State)
			}
		}
		s, _, err := again(func() (table.Standing, string, error) { s, err := b.Standing(b.ctx, b.tenant); return s, "", err })
		b.must(err)
		used, _, err := again(func() (int, string, error) { n, err := b.DayMeter(b.ctx, b.tenant, start); return n, "", err })
		b.must(err)
		if s.Load.Waiting != queued || s.Load.Running != inflight || used != admitted {
			t.Errorf("seed %d: load %+v and meter %d; the rows say %d waiting, %d in flight, %d admitted", seed, s.Load, used, queued, inflight, admitted)
		}
		if admitted == 0 {
			t.Errorf("seed %d: nothing happened", seed)
		}
	}
}

// again repeats a read whose answer was lost.
func again[T any](read func() (T, string, error)) (v T, s string, err error) {
	for range 50 {
		if v, s, err = read(); err == nil {
			return v, s, nil
		}
	}
	return v, s, err
}

func (b *bench) startSome() {
	s, err := b.Standing(b.ctx, b.tenant)
	if err != nil {
		return
	}
	q, err := b.Queue(b.ctx, b.tenant, 1)
	if err != nil || len(q) == 0 {
		return
	}
	_, _, _ = b.StartRun(b.ctx, b.tenant, table.Start{Entry: q[0], Cap: 4, Load: s.Load, VirtualTime: s.Load.VirtualTime + 1, LeaseUntil: start.Add(-time.Second)})
}

// endSome takes an in-flight run through an attempt to an end.
func (b *bench) endSome(random *rand.Rand) {
	due, err := b.Overdue(b.ctx, start, 10)
	if err != nil || len(due) == 0 {
		return
	}
	runID := due[random.IntN(len(due))].Run
	r, err := b.Run(b.ctx, b.tenant, runID)
	if err != nil {
		return
	}
	if random.IntN(3) == 0 {
		_, _ = b.RequestCancel(b.ctx, b.tenant, runID, table.By{Audit: audit.Event{ID: id.New(id.Audit, start), Action: "run.cancel"}})
	}
	nonce := fmt.Sprint(random.Uint64())
	if r, err = b.BeginAttempt(b.ctx, b.tenant, runID, r.Starts, "token", true, time.Minute, start.Add(-time.Second)); err == nil {
		if r, err = b.Claim(b.ctx, b.tenant, runID, r.Attempt.Number, nonce, start.Add(-time.Second), by("run.claim")); err == nil {
			_, _ = b.StoreResult(b.ctx, b.tenant, runID, r.Attempt.Number, nonce, success())
		}
	}
	if r, err = b.Run(b.ctx, b.tenant, runID); err == nil {
		_, _ = b.Settle(b.ctx, b.tenant, table.Settlement{Run: r, Decision: task.Decide(r, start, task.DefaultTiming), Now: start})
	}
}

func TestTheTenantIsWarnedOnceOfEachPartOfItsQuota(t *testing.T) {
	b := newBench(t)
	var warned [101]atomic.Int64
	submit := func(n int) {
		all(n, func(int) {
			a := b.admission(1)
			a.RunsPerDay = 50
			var quota *table.QuotaError
			if err := b.Admit(b.ctx, b.tenant, a); err != nil && !errors.As(err, &quota) {
				t.Error(err)
			}
			percent, err := b.WarnOfQuota(b.ctx, b.tenant, b.clock.Now(), 50)
			if err != nil {
				t.Error(err)
			}
			warned[percent].Add(1)
		})
	}
	submit(39)
	if warned[80].Load()+warned[100].Load() != 0 {
		t.Error("warned below 80 %")
	}
	submit(5)
	if warned[80].Load() != 1 || warned[100].Load() != 0 {
		t.Errorf("between: %d and %d", warned[80].Load(), warned[100].Load())
	}
	submit(64)
	if warned[80].Load() != 1 || warned[100].Load() != 1 {
		t.Errorf("at the end: %d and %d", warned[80].Load(), warned[100].Load())
	}
	events := 0
	trail, err := b.AuditTrail(b.ctx, b.tenant, 1000)
	b.must(err)
	for _, e := range trail {
		if e.Action == "quota.warning" {
			events++
		}
	}
	if events != 2 {
		t.Errorf("%d warnings in the trail", events)
	}
	if percent, err := b.WarnOfQuota(b.ctx, b.tenant, b.clock.Now(), plan.Unlimited); err != nil || percent != 0 {
		t.Errorf("of no limit: %d, %v", percent, err)
	}
}

// warned counts the warnings in a tenant's trail, by what they say.
func (b *bench) warned() map[string]int {
	b.t.Helper()
	var trail []audit.Event
	var err error
	for range 20 { // also where answers are lost
		if trail, err = b.AuditTrail(b.ctx, b.tenant, 1000); err == nil {
			break
		}
	}
	b.must(err)
	said := map[string]int{}
	for _, e := range trail {
		if e.Action == "quota.warning" {
			said[e.Detail]++
		}
	}
	return said
}

// A plan or an override that changes in the middle of the day has warnings of its
// own, and what was said once that day is not said again.
func TestAChangedLimitHasWarningsOfItsOwn(t *testing.T) {
	b := newBench(t)
	used := 0
	submit := func(n, limit int) (percents []int) {
		for range n {
			a := b.admission(1)
			a.RunsPerDay = limit
			var quota *table.QuotaError
			if err := b.Admit(b.ctx, b.tenant, a); err == nil {
				used++
			} else if !errors.As(err, &quota) {
				t.Fatal(err)
			}
			percent, err := b.WarnOfQuota(b.ctx, b.tenant, b.clock.Now(), limit)
			b.must(err)
			if percent != 0 {
				percents = append(percents, percent)
			}
		}
		return percents
	}
	for _, c := range []struct {
		why      string
		n, limit int
		want     []int
	}{
		{"the free plan's day", 12, 10, []int{80, 100}},
		{"an upgrade", 5, 100, nil},
		{"back to the free plan", 3, 10, nil},
		{"a smaller one than is used", 1, 12, []int{100}},
		{"the upgrade again, to its end", 90, 100, []int{80, 100}},
		{"an override that is just above", 1, 110, []int{80}},
		{"the same once more", 12, 110, []int{100}},
	} {
		if got := submit(c.n, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%s, %d used: warned of %v, want %v", c.why, used, got, c.want)
		}
	}
	for what, n := range b.warned() {
		if n != 1 {
			t.Errorf("%d times: %s", n, what)
		}
	}
	if n := len(b.warned()); n != 7 {
		t.Errorf("%d warnings: %v", n, b.warned())
	}
}

// Many submit at once while transactions conflict and answers are lost, and the
// limit grows in the middle; each submission comes to its end. Every part of each
// limit is warned of exactly once.
func TestWarningsAreGivenOnceWhateverIsLost(t *testing.T) {
	for seed := range uint64(6) {
		b := newFlakyBench(t, seed, 0.1, 0.2)
		flaky := b.Table
		insist := func(f func() error) {
			for range 50 { // as later submissions do
				if f() == nil {
					return
				}
			}
			t.Error("never came to its end")
		}
		used := 0
		for _, limit := range []int{20, 60} {
			for _, n := range []int{limit*8/10 - 1 - used, 1, 30} { // up to 80 %, to it, and beyond the end
				all(n, func(int) {
					a := b.admission(1)
					a.RunsPerDay = limit
					a.Idempotency = &table.Idempotency{Key: a.Task.ID, BodyHash: "h", Status: 202, Body: []byte("{}")}
					insist(func() error {
						var quota *table.QuotaError
						var replay *table.Replay
						err := flaky.Admit(b.ctx, b.tenant, a)
						if errors.As(err, &quota) || errors.As(err, &replay) {
							return nil
						}
						return err
					})
					insist(func() error {
						_, err := flaky.WarnOfQuota(b.ctx, b.tenant, b.clock.Now(), limit)
						return err
					})
				})
			}
			used = limit
		}
		counted := map[string]int{}
		for what, n := range b.warned() {
			_, of, _ := strings.Cut(what, " of ")
			limit, _, _ := strings.Cut(of, " ")
			counted[limit] += n
		}
		if counted["20"] != 2 || counted["60"] != 2 || len(counted) != 2 {
			t.Errorf("seed %d: warnings by limit %v: %v", seed, counted, b.warned())
		}
	}
}
