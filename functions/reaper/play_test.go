package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

// The play's times.
const (
	tick       = 5 * time.Second // of the clock; also what the state machine waits before it tries again
	reapEvery  = time.Minute
	eventRetry = time.Minute // what Lambda waits before it delivers an event again
)

// play is a tenant's day with deaths in it.
type play struct {
	*world
	random     *rand.Rand
	tasks      []string
	executions map[string]*execution
	workers    map[string]*worker
	events     []*event

	inflight map[string]bool // as it was counted last
	last     map[string]end  // of the containers of a run
	back     []slotBack
	replaced []time.Duration // until another container came for one that died before its claim, told to nobody
	points   map[string]int  // calls at which an invocation died
	deaths   int             // of workers
	checks   int
	reaped   int // rounds of the reaper that died
}

// end is that of a run's last container.
type end struct {
	at              time.Time
	claimed, untold bool
	reaped          int // rounds of the reaper that had died before
}

// slotBack is how a slot came back.
type slotBack struct {
	end
	took time.Duration
}

func newPlay(t testing.TB, random *rand.Rand) *play {
	return &play{world: newWorld(t), random: random, executions: map[string]*execution{}, workers: map[string]*worker{},
		inflight: map[string]bool{}, last: map[string]end{}, points: map[string]int{}}
}

// perform plays until every run has ended and everybody has gone.
func (p *play) perform(runs int) {
	p.T.Helper()
	const runsPerTask = 10
	for range runs / runsPerTask {
		p.tasks = append(p.tasks, p.Submit(runsPerTask).ID)
	}
	for began := p.Clock.Now(); p.Load().Waiting > 0 || len(p.inflight) > 0 || len(p.workers) > 0; {
		p.schedule()
		p.step()
		p.work()
		p.deliver()
		if p.Clock.Now().Sub(began)%reapEvery == 0 {
			deaths := sum(p.points)
			if err := p.invoke("reaper", p.reap); err != nil || sum(p.points) != deaths {
				p.reaped++
			}
		}
		p.Clock.Advance(tick)
		if p.Clock.Now().Sub(began) > 48*time.Hour {
			p.T.Fatalf("after two days %+v, %d in flight, %d workers", p.Load(), len(p.inflight), len(p.workers))
		}
	}
	if l := p.Load(); l.Running != 0 || l.Waiting != 0 || len(p.Alive()) != 0 {
		p.T.Errorf("at the end %+v, containers %v", l, p.Alive())
	}
}

// ends counts the runs by their end; each must have one.
func (p *play) ends() map[task.State]int {
	p.T.Helper()
	counts := map[task.State]int{}
	for _, id := range p.tasks {
		tk, err := p.Task(context.Background(), p.Tenant, id)
		p.Must(err)
		if tk.State != task.Completed || tk.Tally.Remaining != 0 {
			p.T.Errorf("task %s: %s, %+v", id, tk.State, tk.Tally)
		}
		for _, r := range tk.Runs {
			counts[r.State]++
		}
	}
	return counts
}

// invoke runs a function, which may die at any of its calls, and then counts.
func (p *play) invoke(name string, f func(cut *settlementtest.Cut) error) error {
	p.T.Helper()
	if p.random.IntN(6) != 0 {
		err := f(nil)
		p.count()
		return err
	}
	at := p.random.IntN(9)
	cut := settlementtest.After(at)
	cut.Lost = p.random.IntN(3) == 0
	err := f(cut)
	if cut.Reached() {
		p.points[fmt.Sprintf("%s %d %t", name, at, cut.Lost)]++
	}
	p.count()
	return err
}

// store is the table as seen through a Cut.
func (p *play) store(cut *settlementtest.Cut) *table.Table {
	if cut == nil {
		return p.Table
	}
	return table.New(enginetest.Client(p.T, cut), p.name, p.Clock)
}

// count holds slots, runs in flight and containers against each other, and
// notes whose slot has come back.
func (p *play) count() {
	p.T.Helper()
	p.checks++
	ctx, now := context.Background(), p.Clock.Now()
	rows, err := p.Overdue(ctx, now.Add(72*time.Hour), 1000)
	p.Must(err)
	inflight := map[string]bool{}
	for _, r := range rows {
		inflight[r.Run] = true
	}
	working := 0
	for _, c := range p.Alive() {
		if w := p.workers[name(c)]; w == nil || !w.reported {
			working++
		}
	}
	if running := p.Load().Running; running > slots || running != len(inflight) || working > running {
		p.T.Fatalf("%d slots of %d are taken, %d runs are in flight, %d containers work", running, slots, len(inflight), working)
	}
	for _, run := range slices.Sorted(maps.Keys(p.inflight)) {
		if e, ended := p.last[run]; !inflight[run] && ended && len(p.Live(run)) == 0 {
			p.back = append(p.back, p.judge(run, e))
			delete(p.last, run) // should it start anew, it waited in the queue
		}
	}
	p.inflight = inflight
}

// judge tells how long a slot took to come back, or to hold another container, and
// whether that was too long.
func (p *play) judge(run string, e end) slotBack {
	p.T.Helper()
	b := slotBack{e, p.Clock.Now().Sub(e.at)}
	most := 2*task.DefaultTiming.HeartbeatLease + time.Duration(p.reaped-b.reaped)*reapEvery
	if b.took > most {
		p.T.Errorf("the slot of %s was idle for %s: %+v", run, b.took, b.end)
	}
	return b
}

// schedule starts what may start, as the scheduler does.
func (p *play) schedule() {
	if p.Load().Waiting == 0 {
		return
	}
	_ = p.invoke("scheduler", func(cut *settlementtest.Cut) error { // its next wakeup makes good what it missed
		ctx, store := context.Background(), p.store(cut)
		for {
			s, err := store.Standing(ctx, p.Tenant)
			if err != nil || s.Load.Running >= slots || s.Load.Waiting == 0 {
				return err
			}
			q, err := store.Queue(ctx, p.Tenant, 1)
			if err != nil || len(q) == 0 {
				return err
			}
			r, _, err := store.StartRun(ctx, p.Tenant, table.Start{Entry: q[0], Cap: slots, Load: s.Load, VirtualTime: s.Load.VirtualTime + 1,
				LeaseUntil: p.Clock.Now().Add(task.DefaultTiming.ClaimLease)})
			if err != nil {
				return err
			}
			_ = p.Workflow(cut).Start(ctx, workflow.Input{Tenant: p.Tenant, Run: r.ID, Start: r.Starts}) // else the reaper will
		}
	})
}
