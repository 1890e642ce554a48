package table_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
)

// world drives a tenant's runs through any order of calls, sensible or not, and
// keeps beside them what the design says must come of it.
type world struct {
	*bench
	rt    *rapid.T
	runs  []*modelRun
	tasks map[string]*task.Tally
	rows  int // of the ledger
}

// modelRun is a run as the design describes it, with a count of its moves: a
// decision is worth something only until the next.
type modelRun struct {
	task.Run
	moves int
	moved map[string]int // state, and the state that followed it
	was   task.State
	seen  task.Run // an earlier look at the stored run, and when it was
	since int
}

const modelCap = 3

func TestARunsLifeFollowsTheModelInAnyOrderOfCalls(t *testing.T) {
	shared := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{bench: benchOn(t, shared.Table, shared.clock), rt: rt, tasks: map[string]*task.Tally{}}
		w.submit()
		steps := []func(){w.submit, w.startHead, w.begin, w.begin, w.claim, w.claim, w.beat, w.finish, w.lose, w.loseUnclaimed, w.putOff, w.cancel, w.look, w.settleOne, w.settleOne, w.pass}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")]()
			w.note()
		}
		w.compare()
	})
}

// note keeps which runs a step moved from one state to another.
func (w *world) note() {
	for _, r := range w.runs {
		if r.State != r.was {
			r.moved[string(r.was)+" "+string(r.State)]++
			r.was = r.State
		}
	}
}

func (w *world) pick() *modelRun { return rapid.SampledFrom(w.runs).Draw(w.rt, "run") }

// expect fails unless err is the one that the model foretells.
func (w *world) expect(what string, r *modelRun, err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) || (want == nil && err != nil) {
		w.rt.Fatalf("%s of a run that is %s, attempt %+v: got %v, want %v", what, r.State, r.Attempt, err, want)
	}
}

func (w *world) submit() {
	if len(w.runs) > 8 {
		return
	}
	tk := w.admit(rapid.IntRange(1, 3).Draw(w.rt, "runs"))
	w.tasks[tk.ID] = &task.Tally{Total: len(tk.Runs), Remaining: len(tk.Runs)}
	for _, r := range tk.Runs {
		r.Timeout = tk.Spec.Timeout
		w.runs = append(w.runs, &modelRun{Run: r, seen: r, was: r.State, moved: map[string]int{}})
	}
}

func (w *world) count(is func(task.State) bool) (n int) {
	for _, r := range w.runs {
		if is(r.State) {
			n++
		}
	}
	return n
}

func queued(s task.State) bool { return s == task.Queued }

// startHead starts the queue's head: the oldest run of those that wait.
func (w *world) startHead() {
	var head *modelRun
	for _, r := range w.runs {
		if r.State == task.Queued && (head == nil || r.ID < head.ID) {
			head = r
		}
	}
	got, err := w.startNext(modelCap)
	switch {
	case head == nil:
		if !errors.Is(err, table.ErrNotFound) {
			w.rt.Fatalf("nothing waits, and the start says %v", err)
		}
	case w.count(task.State.InFlight) >= modelCap:
		w.expect("start at the cap", head, err, table.ErrStale)
	default:
		w.expect("start", head, err, nil)
		if got.ID != head.ID {
			w.rt.Fatalf("%s was started before %s", got.ID, head.ID)
		}
		head.State, head.LeaseUntil = task.Starting, w.clock.Now().Add(time.Minute)
		head.Starts++
		head.moves++
	}
}

func (w *world) begin() {
	r := w.pick()
	n := r.Starts + rapid.SampledFrom([]int{0, 0, 0, -1}).Draw(w.rt, "start")
	now, lookAfter := w.clock.Now(), time.Duration(rapid.IntRange(1, 90).Draw(w.rt, "look after"))*time.Second
	lease := now.Add(time.Minute)
	_, err := w.BeginAttempt(w.ctx, w.tenant, r.ID, n, fmt.Sprint("token", r.moves), true, lookAfter, lease)
	switch {
	case !r.State.InFlight() || n != r.Starts || r.Result != nil || r.Attempt.Unsettled():
		w.expect("begin", r, err, table.ErrStale)
	case !r.CancelRequestedAt.IsZero():
		w.expect("begin", r, err, table.ErrCancelled)
	default:
		w.expect("begin", r, err, nil)
		if !r.Attempt.Open() {
			r.Attempt = task.Attempt{Number: r.Attempt.Number + 1, LookAt: now.Add(lookAfter)}
			r.State = task.Starting
			r.moves++
		}
		r.LeaseUntil = lease
	}
}

// report draws the attempt and nonce that a worker, maybe an old one, reports with.
func (w *world) report() (r *modelRun, attempt int, nonce string) {
	r = w.pick()
	attempt = max(1, r.Attempt.Number+rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(w.rt, "attempt"))
	return r, attempt, rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(w.rt, "nonce")
}

func (r *modelRun) live(attempt int) bool {
	return r.State.InFlight() && r.Attempt.Number == attempt && r.Attempt.Open() && r.Result == nil
}

func (w *world) claim() {
	r, attempt, nonce := w.report()
	lease := w.clock.Now().Add(time.Minute)
	got, err := w.Claim(w.ctx, w.tenant, r.ID, attempt, nonce, lease, byTo("run.claim", r.ID))
	switch {
	case !r.live(attempt):
		w.expect("claim", r, err, table.ErrStale)
	case r.Attempt.Nonce != "" && r.Attempt.Nonce != nonce:
		w.expect("claim", r, err, table.ErrNonceBound)
	case !r.CancelRequestedAt.IsZero():
		w.expect("claim", r, err, table.ErrCancelled)
	default:
		w.expect("claim", r, err, nil)
		if r.Attempt.Nonce == "" {
			r.Attempt.Nonce, r.State, r.LeaseUntil = nonce, task.Running, lease
			r.moves++
			if r.Deadline.IsZero() {
				r.Deadline = w.clock.Now().Add(r.Timeout)
			}
		}
		if !got.Deadline.Equal(r.Deadline) {
			w.rt.Fatalf("the deadline is %s, and was %s", got.Deadline, r.Deadline)
		}
	}
}

func (w *world) beat() {
	r, attempt, nonce := w.report()
	lease := w.clock.Now().Add(time.Minute)
	_, err := w.Heartbeat(w.ctx, w.tenant, r.ID, attempt, nonce, task.Spend{}, lease)
	if !r.live(attempt) || r.Attempt.Nonce != nonce {
		w.expect("heartbeat", r, err, table.ErrStale)
		return
	}
	w.expect("heartbeat", r, err, nil)
	r.LeaseUntil = lease
}

func (w *world) finish() {
	r, attempt, nonce := w.report()
	result := success()
	_, err := w.StoreResult(w.ctx, w.tenant, r.ID, attempt, nonce, result)
	mine := r.Attempt.Number == attempt && r.Attempt.Nonce == nonce
	switch {
	case mine && r.Result != nil:
		w.expect("the result again", r, err, nil)
	case mine && r.live(attempt):
		w.expect("result", r, err, nil)
		r.Result = &result
		r.moves++
	default:
		w.expect("result", r, err, table.ErrStale)
	}
}

func (w *world) lose() {
	r, attempt, _ := w.report()
	now := w.clock.Now()
	end := task.AttemptEnd{At: now, Cause: rapid.SampledFrom([]task.Cause{task.NoCapacity, task.LaunchFailed, task.ContainerStopped, task.LeaseExpired}).Draw(w.rt, "cause")}
	_, err := w.EndAttempt(w.ctx, w.tenant, r.ID, attempt, end)
	switch {
	case r.Attempt.Number != attempt:
		w.expect("end of an attempt", r, err, table.ErrStale)
	case !r.live(attempt):
		w.expect("end of an ended attempt", r, err, nil)
	case end.Cause == task.LeaseExpired && r.LeaseUntil.After(now):
		w.expect("end by a lease that runs", r, err, table.ErrStale)
	default:
		w.expect("end of an attempt", r, err, nil)
		r.end(end)
	}
}

func (r *modelRun) end(end task.AttemptEnd) {
	r.Attempt.End = end
	if end.Cause == task.ContainerStopped && end.At.Before(r.LeaseUntil) {
		r.LeaseUntil = end.At
	}
	r.moves++
	if end.Cause != task.NoCapacity {
		r.NoCapacitySince = time.Time{}
	} else if r.NoCapacitySince.IsZero() {
		r.NoCapacitySince = end.At
	}
}

// loseUnclaimed ends an attempt as somebody does who saw its container stopped.
func (w *world) loseUnclaimed() {
	r, attempt, _ := w.report()
	end := task.AttemptEnd{At: w.clock.Now(), Cause: task.ContainerStopped}
	_, err := w.EndUnclaimed(w.ctx, w.tenant, r.ID, attempt, end)
	switch {
	case r.Attempt.Number != attempt:
		w.expect("end of an unclaimed attempt", r, err, table.ErrStale)
	case !r.live(attempt):
		w.expect("end of an ended attempt", r, err, nil)
	case r.Attempt.Nonce != "":
		w.expect("end of a claimed attempt", r, err, table.ErrStale)
	default:
		w.expect("end of an unclaimed attempt", r, err, nil)
		r.end(end)
	}
}

func (w *world) putOff() {
	r, attempt, _ := w.report()
	until := w.clock.Now().Add(time.Duration(rapid.IntRange(1, 90).Draw(w.rt, "look after")) * time.Second)
	err := w.PutOffLook(w.ctx, w.tenant, r.ID, attempt, until)
	w.expect("a later look", r, err, nil)
	if r.live(attempt) && r.Attempt.Nonce == "" && r.Attempt.LookAt.Before(until) {
		r.Attempt.LookAt = until
	}
}

// due is when the reaper is to look after the run.
func (r *modelRun) due() time.Time {
	if r.Attempt.Open() && r.Attempt.Nonce == "" && r.Attempt.LookAt.Before(r.LeaseUntil) {
		return r.Attempt.LookAt
	}
	return r.LeaseUntil
}

func (w *world) cancel() {
	r := w.pick()
	_, err := w.RequestCancel(w.ctx, w.tenant, r.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, start), Action: "run.cancel"}})
	w.expect("cancel", r, err, nil)
	if !r.State.Terminal() && r.CancelRequestedAt.IsZero() {
		r.CancelRequestedAt = w.clock.Now()
		r.moves++
	}
}

// look reads a run for a decision that comes later, maybe too late.
func (w *world) look() {
	r := w.pick()
	got, err := w.Run(w.ctx, w.tenant, r.ID)
	w.expect("read", r, err, nil)
	r.seen, r.since = got, r.moves
}

// settleOne settles a run that nobody works on, by a fresh look or an old one.
func (w *world) settleOne() {
	r := w.pick()
	if rapid.Bool().Draw(w.rt, "fresh") {
		got, err := w.Run(w.ctx, w.tenant, r.ID)
		w.expect("read", r, err, nil)
		r.seen, r.since = got, r.moves
	}
	now := w.clock.Now()
	d := task.Decide(r.seen, now, task.DefaultTiming)
	if r.seen.State == task.Queued && !r.seen.CancelRequestedAt.IsZero() {
		d = task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}
	}
	got, err := w.Settle(w.ctx, w.tenant, table.Settlement{Run: r.seen, Decision: d, Now: now})
	switch {
	case r.State.Terminal():
		w.expect("settle", r, err, nil)
		if got.State != r.State {
			w.rt.Fatalf("a run that was %s is %s", r.State, got.State)
		}
	case r.since != r.moves:
		w.expect("settle of what has moved", r, err, table.ErrStale)
	case d.End != "":
		w.expect("settle", r, err, nil)
		r.State = d.End
		r.moves++
		tally := w.tasks[r.Task]
		*tally = tally.After(d.End)
		if r.Result != nil {
			w.rows++
		}
	case d.Requeue:
		w.expect("requeue", r, err, nil)
		r.State, r.NoCapacitySince = task.Queued, time.Time{}
		r.moves++
	case d.InfraRetry:
		w.expect("another try", r, err, nil)
		if r.Attempt.End.Cause == "" {
			r.Attempt.End.Cause = task.LaunchFailed
		}
		r.Attempt.End.Counted = true
		r.State = task.Starting
		r.InfraRetries++
		r.moves++
	default:
		w.expect("settle", r, err, nil)
	}
}

func (w *world) pass() {
	w.clock.Advance(time.Duration(rapid.IntRange(1, 1000).Draw(w.rt, "seconds")) * time.Second)
}

// compareTrail finds each change of a run's state in the audit trail, once.
func (w *world) compareTrail() {
	trail, err := w.AuditTrail(w.ctx, w.tenant, 1000)
	w.must(err)
	told := map[string]map[string]int{}
	for _, e := range trail {
		for _, c := range e.Changes {
			if c.Field == "state" && strings.HasPrefix(e.Target, "run_") {
				if told[e.Target] == nil {
					told[e.Target] = map[string]int{}
				}
				told[e.Target][c.Before+" "+c.After]++
			}
		}
	}
	for _, r := range w.runs {
		if !maps.Equal(told[r.ID], r.moved) {
			w.rt.Fatalf("the trail tells %v of a run that went %v", told[r.ID], r.moved)
		}
	}
}

// compare holds all that is stored against the model.
func (w *world) compare() {
	for _, r := range w.runs {
		got, err := w.Run(w.ctx, w.tenant, r.ID)
		w.expect("read", r, err, nil)
		if got.State != r.State || got.Starts != r.Starts || got.InfraRetries != r.InfraRetries || got.Attempt.Number != r.Attempt.Number ||
			got.Attempt.Nonce != r.Attempt.Nonce || got.Attempt.End.Cause != r.Attempt.End.Cause || (got.Result != nil) != (r.Result != nil) ||
			got.CancelRequestedAt.IsZero() != r.CancelRequestedAt.IsZero() || !got.NoCapacitySince.Equal(r.NoCapacitySince) {
			w.rt.Fatalf("stored %+v\n model %+v", got, r.Run)
		}
	}
	w.compareTrail()
	for taskID, tally := range w.tasks {
		tk, err := w.Task(w.ctx, w.tenant, taskID)
		w.must(err)
		if tk.Tally != *tally || tk.Outcome != tally.Outcome() || (tk.State == task.Completed) != (tally.Remaining == 0) {
			w.rt.Fatalf("the task is %s (%s), %+v; the model says %+v", tk.State, tk.Outcome, tk.Tally, *tally)
		}
	}
	s, err := w.Standing(w.ctx, w.tenant)
	w.must(err)
	queue, err := w.Queue(w.ctx, w.tenant, 100)
	w.must(err)
	rows, err := w.LedgerRows(w.ctx, w.tenant, 100)
	w.must(err)
	if s.Load.Waiting != w.count(queued) || len(queue) != w.count(queued) || s.Load.Running != w.count(task.State.InFlight) || len(rows) != w.rows {
		w.rt.Fatalf("load %+v, %d queued, %d in the ledger; the model says %d waiting, %d running, %d in the ledger",
			s.Load, len(queue), len(rows), w.count(queued), w.count(task.State.InFlight), w.rows)
	}
	due, err := w.Overdue(w.ctx, w.clock.Now().Add(24*time.Hour), 10_000)
	w.must(err)
	indexed := 0
	for _, h := range due {
		if h.Tenant == w.tenant {
			indexed++
			if !slices.ContainsFunc(w.runs, func(r *modelRun) bool { return r.ID == h.Run && r.State.InFlight() && r.due().Equal(h.Due) }) {
				w.rt.Fatalf("the index says that %s is in flight and due at %s", h.Run, h.Due)
			}
		}
	}
	if indexed != w.count(task.State.InFlight) {
		w.rt.Fatalf("%d runs in the index, %d in flight", indexed, w.count(task.State.InFlight))
	}
}
