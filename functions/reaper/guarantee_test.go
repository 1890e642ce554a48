package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
	"outpost/shared/task"
)

// slots is the cap of the tenant in the play below.
const slots = 8

// TestGuaranteeASlotComesBackWhereverSomethingDies plays 1,000 runs of one
// tenant on a real table, on a clock that moves five seconds at a time. The
// reaper and settlement are the real ones; scheduler, state machine, launch,
// worker and the container's last event make the calls that theirs make. Every
// sixth invocation of any of them dies at a call drawn by chance, or hears
// nothing of one; every fifth container waits for minutes for its image; of the
// workers, four in ten die before their claim, after it, between heartbeats,
// before or after their result; of every seventh death, and of every second
// before a claim, nobody is told; some executions break. After each invocation
// the slots, the runs in flight and the containers are counted. When a run leaves
// its slot, or its slot holds another container in place of one that died before
// its claim and told nobody, the time since its last container's end must be at
// most two heartbeat leases (2 x 90 s), and a minute for each round of the reaper
// that died meanwhile.
func TestGuaranteeASlotComesBackWhereverSomethingDies(t *testing.T) {
	g := guarantee.For(t, "tenancy-2", "A slot comes back within two heartbeats of its run's end, whatever dies at whichever step.")
	runs, seeds := g.Pick(250, 20), g.Pick(4, 1)
	var all []slotBack
	var replaced []time.Duration
	ends, points, deaths, checks, leaked := map[task.State]int{}, map[string]int{}, 0, 0, 0
	for seed := range seeds {
		p := newPlay(t, rand.New(rand.NewPCG(uint64(seed), 2)))
		p.perform(runs)
		all = append(all, p.back...)
		replaced = append(replaced, p.replaced...)
		for state, n := range p.ends() {
			ends[state] += n
		}
		for point, n := range p.points {
			points[point] += n
		}
		deaths += p.deaths
		checks += p.checks
		leaked += p.Load().Running
	}
	if ends[task.Succeeded] == 0 || (guarantee.Full() && ends[task.Failed] == 0) {
		t.Errorf("the runs ended as %v: the play has no drama", ends)
	}
	g.Figure("runs", fmt.Sprintf("%d: %d succeeded, %d were lost more often than they are tried again", runs*seeds, ends[task.Succeeded], ends[task.Failed]))
	g.Figure("steps at which something died", fmt.Sprintf("%d, %d invocations and %d workers in all", len(points), sum(points), deaths))
	g.Figure("counts of slots, runs and containers", fmt.Sprintf("%d: never above the cap of %d, never apart", checks, slots))
	g.Figure("slots taken at the end", leaked)
	for _, c := range []struct {
		name string
		is   func(slotBack) bool
	}{
		{"slot back, the container's end being told", func(b slotBack) bool { return !b.untold }},
		{"slot back, the end being told to nobody", func(b slotBack) bool { return b.untold && b.claimed }},
		{"slot back, told to nobody and before the claim", func(b slotBack) bool { return b.untold && !b.claimed }},
	} {
		var took []time.Duration
		for _, b := range all {
			if c.is(b) {
				took = append(took, b.took)
			}
		}
		times(g, c.name, took)
	}
	times(g, "another container, told to nobody and before the claim", replaced)
	if len(replaced) == 0 {
		t.Error("no container died before its claim and told nobody")
	}
	g.Figure("seeds", fmt.Sprintf("0 to %d", seeds-1))
}

func times(g *guarantee.Guarantee, name string, took []time.Duration) {
	if len(took) > 0 {
		slices.Sort(took)
		g.Figure(name, fmt.Sprintf("p50 %.0f s, p95 %.0f s, at most %.0f s, of %d (clock of the play)",
			took[len(took)/2].Seconds(), took[len(took)*95/100].Seconds(), took[len(took)-1].Seconds(), len(took)))
	}
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
