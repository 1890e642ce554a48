package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"outpost/shared/audit"
	"outpost/shared/fleet"
	"outpost/shared/id"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

// execution is one of the state machine: it launches, waits for its token,
// settles, and goes round again.
type execution struct {
	workflow.Input
	state  string // launch, wait or settle
	token  string
	tokens int
	tries  int
	at     time.Time // of the next step
}

// step moves every open execution.
func (p *play) step() {
	for _, run := range slices.Sorted(maps.Keys(p.inflight)) {
		for _, name := range p.Executions(run) {
			if p.executions[name] == nil {
				r := p.Read(run)
				p.executions[name] = &execution{Input: workflow.Input{Tenant: p.Tenant, Run: run, Start: r.Starts}, state: "launch"}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.executions)) {
		if e := p.executions[name]; !e.at.After(p.Clock.Now()) && p.stepOne(e) {
			p.SetExecution(task.Run{ID: e.Run, Starts: e.Start}, workflow.Closed)
			delete(p.executions, name)
		}
	}
}

// stepOne moves one execution and tells whether it has closed.
func (p *play) stepOne(e *execution) (closed bool) {
	again := func(most int) bool { // tells whether the tries of a state are used up
		e.tries++
		return e.tries > most
	}
	switch e.state {
	case "launch":
		e.tokens++
		e.token = fmt.Sprintf("%s#%d", e.Name(), e.tokens)
		if err := p.invoke("launch", func(cut *settlementtest.Cut) error { return p.launch(cut, e) }); err == nil {
			e.state, e.tries = "wait", 0
		} else if again(6) {
			e.state, e.tries = "settle", 0
		}
	case "wait":
		if p.Answered(e.token) {
			e.state = "settle"
		} else if p.random.IntN(500) == 0 {
			return true // it breaks
		}
	case "settle":
		var d task.Decision
		err := p.invoke("settle", func(cut *settlementtest.Cut) (err error) {
			d, err = settlement.Settler{Store: p.store(cut), Clock: p.Clock, Timing: task.DefaultTiming}.Settle(context.Background(), p.Tenant, e.Run, e.Start)
			return err
		})
		if err != nil {
			return again(12)
		}
		e.state, e.tries, e.at = "launch", 0, p.Clock.Now().Add(d.Wait)
		return d.Next == task.NextDone
	}
	return false
}

// launch makes the next attempt, as the state machine's Launch does.
func (p *play) launch(cut *settlementtest.Cut, e *execution) error {
	ctx, store, machine, containers := context.Background(), p.store(cut), p.Workflow(cut), p.Fleet(cut)
	of := func(a task.Attempt) fleet.Container {
		return fleet.Container{Tenant: p.Tenant, Run: e.Run, Attempt: a.Number}
	}
	run, err := store.Run(ctx, p.Tenant, e.Run)
	if err != nil {
		return err
	}
	if a := run.Attempt; run.State.InFlight() && run.Starts == e.Start && run.Result == nil && a.Number > 0 && !a.Open() && !a.Unsettled() && a.Container == "" {
		arn, err := containers.Launch(ctx, of(a)) // which a crash hid
		if err != nil {
			return err
		}
		if err := store.SetContainer(ctx, p.Tenant, e.Run, a.Number, arn); err != nil && !errors.Is(err, table.ErrStale) {
			return err
		}
	}
	run, err = store.BeginAttempt(ctx, p.Tenant, e.Run, e.Start, e.token, true, task.DefaultTiming.HeartbeatLease, p.Clock.Now().Add(task.DefaultTiming.ClaimLease))
	if errors.Is(err, table.ErrStale) || errors.Is(err, table.ErrCancelled) {
		return machine.Answer(ctx, e.token)
	}
	if err != nil {
		return err
	}
	if run.LastContainer != "" {
		if _, err := containers.Stop(ctx, run.LastContainer, "superseded"); err != nil {
			return err
		}
	}
	arn, err := containers.Launch(ctx, of(run.Attempt))
	if err != nil {
		return err
	}
	err = store.SetContainer(ctx, p.Tenant, e.Run, run.Attempt.Number, arn)
	if errors.Is(err, table.ErrStale) {
		if _, err := containers.Stop(ctx, arn, "overtaken"); err != nil {
			return err
		}
		return machine.Answer(ctx, e.token)
	}
	return err
}

// worker is in a container.
type worker struct {
	fleet.Container
	dies              string // the step before or after which it is killed; empty: it lives
	untold            bool   // its last event is lost
	claims, finishes  time.Time
	beat              time.Time
	claimed, reported bool // reported: its result is stored
}

func name(c fleet.Container) string { return fmt.Sprintf("%s-%d", c.Run, c.Attempt) }

// The steps at which workers are killed, and how seldom they are not.
var workersSteps = []string{"claim", "claimed", "working", "finish", "finished", "", "", "", "", "", "", "", ""}

// work lets every worker do its next step, and notes those that are gone.
func (p *play) work() {
	alive := map[string]bool{}
	for _, c := range p.Alive() {
		alive[name(c)] = true
		if p.workers[name(c)] == nil {
			p.workers[name(c)] = p.newWorker(c)
			if e, lost := p.last[c.Run]; lost && e.untold && !e.claimed {
				p.replaced = append(p.replaced, p.judge(c.Run, e).took)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.workers)) {
		w := p.workers[name]
		if alive[name] && p.lives(w) {
			continue
		}
		if alive[name] {
			_, err := p.Fleet(nil).Stop(context.Background(), "arn:"+name, "it is over")
			p.Must(err)
		}
		p.last[w.Run] = end{p.Clock.Now(), w.claimed, w.untold, p.reaped}
		if !w.untold {
			p.events = append(p.events, &event{Container: w.Container, at: p.Clock.Now()})
		}
		delete(p.workers, name)
	}
}

// newWorker is in a container that has just been launched; every fifth waits for
// minutes for its image.
func (p *play) newWorker(c fleet.Container) *worker {
	now, image := p.Clock.Now(), 20
	if p.random.IntN(5) == 0 {
		image = 240
	}
	w := &worker{Container: c, dies: workersSteps[p.random.IntN(len(workersSteps))], claims: now.Add(time.Duration(5+p.random.IntN(image)) * time.Second)}
	w.finishes = w.claims.Add(time.Duration(10+p.random.IntN(60)) * time.Second)
	if w.dies == "claim" {
		w.untold = p.random.IntN(2) == 0
	} else {
		w.untold = p.random.IntN(7) == 0
	}
	return w
}

// lives does a worker's next step and tells whether it goes on.
func (p *play) lives(w *worker) bool {
	now, ctx := p.Clock.Now(), context.Background()
	killed := func(step string) bool {
		if w.dies == step {
			p.deaths++
		}
		return w.dies == step
	}
	lease := now.Add(task.DefaultTiming.HeartbeatLease)
	over := func(err error) bool { // a refusal ends it, a function that died does not
		return errors.Is(err, table.ErrStale) || errors.Is(err, table.ErrCancelled) || errors.Is(err, table.ErrNonceBound)
	}
	switch {
	case !w.claimed && now.Before(w.claims):
		return true
	case !w.claimed:
		if killed("claim") {
			return false
		}
		err := p.invoke("claim", func(cut *settlementtest.Cut) error {
			_, err := p.store(cut).Claim(ctx, p.Tenant, w.Run, w.Attempt, name(w.Container), lease,
				table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "run.claim", Actor: "worker", Target: w.Run}})
			return err
		})
		w.claimed, w.beat = err == nil, now
		return !over(err) && !(w.claimed && killed("claimed"))
	case now.Before(w.finishes):
		if now.Sub(w.beat) < task.DefaultTiming.HeartbeatEvery {
			return true
		}
		if killed("working") {
			return false
		}
		err := p.invoke("heartbeat", func(cut *settlementtest.Cut) error {
			_, err := p.store(cut).Heartbeat(ctx, p.Tenant, w.Run, w.Attempt, name(w.Container), task.Spend{}, lease)
			return err
		})
		if err == nil {
			w.beat = now
		}
		return !over(err)
	default:
		if killed("finish") {
			return false
		}
		err := p.invoke("finish", func(cut *settlementtest.Cut) error {
			r, err := p.store(cut).StoreResult(ctx, p.Tenant, w.Run, w.Attempt, name(w.Container),
				task.Result{State: task.Succeeded, Verify: task.Verify{State: task.VerifyPassed}})
			if err != nil {
				return err
			}
			w.reported = true
			return p.Workflow(cut).Answer(ctx, r.Attempt.TaskToken)
		})
		return err != nil && !over(err) && !killed("finished")
	}
}

// event is a container's last.
type event struct {
	fleet.Container
	at time.Time // of its next delivery
}

// deliver hands the containers' last events over until that succeeds.
func (p *play) deliver() {
	var left []*event
	for _, e := range p.events {
		now := p.Clock.Now()
		if e.at.After(now) {
			left = append(left, e)
			continue
		}
		err := p.invoke("container-stopped", func(cut *settlementtest.Cut) error {
			run, err := p.store(cut).EndAttempt(context.Background(), p.Tenant, e.Run, e.Attempt, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 137, At: now})
			if errors.Is(err, table.ErrStale) {
				return nil
			}
			if err != nil {
				return err
			}
			return p.Workflow(cut).Answer(context.Background(), run.Attempt.TaskToken)
		})
		if err != nil {
			e.at = now.Add(eventRetry)
			left = append(left, e)
		}
	}
	p.events = left
}
