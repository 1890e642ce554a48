package fairshare_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
	"outpost/shared/fairshare"
	"outpost/shared/plan"
)

// slots of the fleet in the simulations: fewer than the quiet tenants want at
// once, so that they wait for one another, too.
const slots = 40

// day is a simulation of the fleet on a clock of its own: runs come, start as
// Decide says, last from one to ten minutes, and end.
type day struct {
	fleet
	random  *rand.Rand
	now     time.Duration
	free    int
	queued  map[string][]time.Duration // when the runs of a tenant came, oldest first
	ends    []ending                   // soonest first
	waits   map[string][]time.Duration
	started map[string]int
	longest map[string]time.Duration // between two starts of a tenant that could start
	last    map[string]time.Duration
}

type ending struct {
	at     time.Duration
	tenant int
}

func newDay(seed uint64) *day {
	return &day{random: rand.New(rand.NewPCG(3, seed)), free: slots, queued: map[string][]time.Duration{}, waits: map[string][]time.Duration{},
		started: map[string]int{}, longest: map[string]time.Duration{}, last: map[string]time.Duration{}}
}

// submit makes a tenant of a plan with so many runs, which may have so many in
// flight.
func (d *day) submit(id string, p plan.Plan, runs, most int) {
	d.tenants = append(d.tenants, fairshare.Tenant{ID: id, Weight: p.Weight, Waiting: runs, Cap: most})
	d.queued[id] = slices.Repeat([]time.Duration{d.now}, runs)
	d.last[id] = d.now
}

// pass starts what may start and goes on to the next end. It tells whether there
// was one.
func (d *day) pass() bool {
	for _, p := range fairshare.Decide(d.tenants, d.virtual, d.free) {
		i := slices.IndexFunc(d.tenants, func(t fairshare.Tenant) bool { return t.ID == p.Tenant })
		t := &d.tenants[i]
		d.virtual, t.VirtualTime = p.Fleet, p.VirtualTime
		t.Waiting--
		t.Running++
		d.free--
		d.started[t.ID]++
		d.waits[t.ID] = append(d.waits[t.ID], d.now-d.queued[t.ID][0])
		d.queued[t.ID] = d.queued[t.ID][1:]
		d.longest[t.ID], d.last[t.ID] = max(d.longest[t.ID], d.now-d.last[t.ID]), d.now
		e := ending{d.now + time.Minute + time.Duration(d.random.Int64N(int64(9*time.Minute))), i}
		at, _ := slices.BinarySearchFunc(d.ends, e, func(a, b ending) int { return int(a.at - b.at) })
		d.ends = slices.Insert(d.ends, at, e)
	}
	if len(d.ends) == 0 {
		return false
	}
	e := d.ends[0]
	d.ends, d.now = d.ends[1:], e.at
	d.tenants[e.tenant].Running--
	d.free++
	return true
}

func p95(waits []time.Duration) time.Duration {
	slices.Sort(waits)
	return waits[len(waits)*95/100]
}

// quietWaits plays twenty tenants who submit five runs each at one moment, an
// hour after another one of their plan has submitted noise runs, with leave to
// fill the whole fleet. It returns the quiet ones' waits, the longest time in
// which a waiting tenant started nothing, and whether all has ended.
func quietWaits(seed uint64, noise int) (waits []time.Duration, longest time.Duration, done bool) {
	d, pro := newDay(seed), plan.All()[1]
	d.submit("noisy", pro, noise, slots)
	for d.now < time.Hour && d.pass() {
	}
	d.now = max(d.now, time.Hour)
	for i := range 20 {
		d.submit(fmt.Sprintf("quiet-%02d", i), pro, 5, pro.ConcurrentRuns)
	}
	for d.pass() {
	}
	started := 0
	for id, n := range d.started {
		started += n
		longest = max(longest, d.longest[id])
		if id != "noisy" {
			waits = append(waits, d.waits[id]...)
		}
	}
	return waits, longest, started == noise+100
}

// TestGuaranteeANoisyTenantHurtsNobody simulates a fleet of 40 slots with runs of
// one to ten minutes. One tenant has 10,000 runs waiting and has filled the fleet
// when twenty others of its plan submit five each at one moment; then the same
// without it. Then ten tenants of each plan wait all day: within a plan their
// starts are even, between plans they are as the weights. The core's decision
// over 10,000 tenants is timed and reported.
func TestGuaranteeANoisyTenantHurtsNobody(t *testing.T) {
	g := guarantee.For(t, "tenancy-3", "However much one tenant has waiting, the others wait hardly longer, and shares follow the weights.")
	seeds, noise, starts := g.Pick(100, 3), g.Pick(10_000, 1_000), g.Pick(50_000, 5_000)
	worst, longest := 0.0, time.Duration(0)
	var with, without time.Duration
	for seed := range seeds {
		alone, _, done := quietWaits(uint64(seed), 0)
		among, starved, doneToo := quietWaits(uint64(seed), noise)
		if !done || !doneToo {
			t.Fatalf("seed %d: runs never started", seed)
		}
		longest = max(longest, starved)
		a, b := p95(alone), p95(among)
		if ratio := float64(b) / float64(a); ratio > worst {
			worst, with, without = ratio, b, a
		}
	}
	if worst > 2 {
		t.Errorf("the quiet tenants' p95 wait is %s instead of %s", with, without)
	}
	if longest > 10*time.Minute { // no longer than one run may last
		t.Errorf("a waiting tenant started nothing for %s", longest)
	}

	d, total := newDay(1), 0
	for _, p := range plan.All() {
		for i := range 10 {
			d.submit(fmt.Sprintf("%s-%d", p.Name, i), p, starts, slots)
			total += p.Weight
		}
	}
	for all := 0; all < starts; {
		d.pass()
		all = 0
		for _, n := range d.started {
			all += n
		}
	}
	jain, apart := 1.0, 0.0
	for _, p := range plan.All() {
		sum, squares := 0.0, 0.0
		for i := range 10 {
			n := float64(d.started[fmt.Sprintf("%s-%d", p.Name, i)])
			sum, squares = sum+n, squares+n*n
		}
		all := 0
		for _, n := range d.started {
			all += n
		}
		jain = min(jain, sum*sum/(10*squares))
		want := float64(all) * float64(10*p.Weight) / float64(total)
		apart = max(apart, max(sum/want-1, 1-sum/want))
	}
	if jain < 0.95 || apart > 0.05 {
		t.Errorf("Jain's index is %.3f, a plan's share is %.1f %% off its weight", jain, 100*apart)
	}

	g.Figure("noisy tenant's runs", noise)
	g.Figure("quiet tenants' p95 wait, at worst", fmt.Sprintf("%s with the noisy one, %s without: %.2f times", with.Round(time.Second), without.Round(time.Second), worst))
	g.Figure("longest time in which a waiting tenant started nothing", longest.Round(time.Second))
	g.Figure("Jain's index within a plan, at worst", fmt.Sprintf("%.4f over %d starts", jain, starts))
	g.Figure("a plan's share off its weight, at most", fmt.Sprintf("%.2f %%", 100*apart))
	g.Figure("seeds", fmt.Sprintf("0 to %d", seeds-1))
	if guarantee.Full() {
		took := testing.Benchmark(BenchmarkDecideOverTenThousandTenants)
		g.Figure("a decision over 10,000 waiting tenants", fmt.Sprintf("%.2f ms", float64(took.NsPerOp())/1e6))
	}
}
