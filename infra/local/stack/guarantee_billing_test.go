package stack_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
)

// TestGuaranteeEveryEventActsOnce has many customers live at Stripe's stand-in, and
// sends each event of that three times through the gateway into a whole Outpost of
// real binaries, in any order: some arrive long after newer ones. Every tenth
// request is forged. Meanwhile webhook, consumer and reconciler are killed with
// SIGKILL, Stripe fails and breaks connections off, answers of table and queue are
// lost, transactions conflict, and messages are not deleted though they were worked
// off. At the end each tenant's plan, its keys' copies and its standing are what
// lives.Truth says, which shares no code with Outpost's rules; and, with the seeds
// in which no reconciler looks too, exactly one look was kept for each event. What
// only the clock brings, as the end of a grace, is the reconciler's proof: the
// binaries live by the machine's.
func TestGuaranteeEveryEventActsOnce(t *testing.T) {
	g := guarantee.For(t, "billing-1", "Whatever happens to Stripe's events and to those who take them, each acts once and every plan is Stripe's.")
	seeds := uint64(g.Pick(4, 1))
	all := sent{steps: map[string]int{}}
	tenants := g.Pick(100, 8)
	for seed := range seeds {
		town := newTown(t, seed, tenants)
		town.live(g.Pick(2500, 120))
		town.settle()
		town.judge()
		all.add(&town.sent)
		town.Stack.Stop()
	}
	slices.Sort(all.took)
	g.Figure("tenants", fmt.Sprintf("%d with each of %d seeds", tenants, seeds))
	g.Figure("events", fmt.Sprintf("%d, of which %d acted; the others are about no customer", all.events, all.acted))
	g.Figure("webhooks", fmt.Sprintf("%d: %d genuine, answered 200; %d that must be refused, and were; %d failed and were sent again", len(all.took)+all.forged+all.failed, len(all.took), all.forged, all.failed))
	g.Figure("forged events that acted, events that acted twice or never", 0)
	g.Figure("killed", fmt.Sprintf("%d times a consumer, %d a webhook, %d a reconciler in %d rounds", all.kills["stripe/sync"], all.kills["stripe/webhook"], all.kills["stripe/reconcile"], all.rounds))
	g.Figure("other faults", fmt.Sprintf("%d of table and queue, %d calls of Stripe's API", all.faults, all.stripe))
	g.Figure("acknowledgement, request in to 200 out, while all that happens", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, at most %.0f ms", quantile(all.took, 0.50), quantile(all.took, 0.99), quantile(all.took, 1)))
	g.Figure("what the customers did", all.did())
}

func quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(share*float64(len(sorted)-1))].Microseconds()) / 1000
}

// sent is what was sent and done.
type sent struct {
	events, acted, forged, failed int
	took                          []time.Duration
	kills, steps                  map[string]int
	rounds, faults, stripe        int
}

func (a *sent) add(b *sent) {
	a.events, a.acted, a.forged, a.failed = a.events+b.events, a.acted+b.acted, a.forged+b.forged, a.failed+b.failed
	a.rounds, a.faults, a.stripe = a.rounds+b.rounds, a.faults+b.faults, a.stripe+b.stripe
	a.took = append(a.took, b.took...)
	if a.kills == nil {
		a.kills = map[string]int{}
	}
	for name, n := range b.kills {
		a.kills[name] += n
	}
	for name, n := range b.steps {
		a.steps[name] += n
	}
}

func (a *sent) did() (text string) {
	for _, name := range slices.Sorted(maps.Keys(a.steps)) {
		text += fmt.Sprintf(", %s %d", name, a.steps[name])
	}
	return text[min(2, len(text)):]
}
