package fairshare_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/fairshare"
)

const endless = 1 << 30

func drawTenants(t *rapid.T) []fairshare.Tenant {
	n := rapid.IntRange(0, 30).Draw(t, "tenants")
	out := make([]fairshare.Tenant, n)
	for i := range out {
		out[i] = fairshare.Tenant{ID: fmt.Sprintf("t%02d", i), Weight: rapid.SampledFrom([]int{1, 4, 16}).Draw(t, "weight"),
			VirtualTime: rapid.Float64Range(0, 50).Draw(t, "virtual"), Waiting: rapid.IntRange(0, 40).Draw(t, "waiting"),
			Running: rapid.IntRange(0, 20).Draw(t, "running"), Cap: rapid.IntRange(0, 20).Draw(t, "cap")}
	}
	return out
}

func TestNobodyPassesACapAndNoSlotIsLeftFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenants := drawTenants(t)
		free, fleet := rapid.IntRange(-5, 100).Draw(t, "free"), rapid.Float64Range(0, 50).Draw(t, "fleet")
		picks := fairshare.Decide(tenants, fleet, free)
		started, could := map[string]int{}, 0
		for _, p := range picks {
			started[p.Tenant]++
			if p.Fleet < fleet {
				t.Fatal("the fleet's virtual time went back")
			}
			fleet = p.Fleet
		}
		for _, tn := range tenants {
			room := max(min(tn.Waiting, tn.Cap-tn.Running), 0)
			could += room
			if started[tn.ID] > room {
				t.Fatalf("%s started %d with room for %d", tn.ID, started[tn.ID], room)
			}
		}
		if len(picks) != max(min(free, could), 0) {
			t.Fatalf("%d starts; %d slots are free and %d runs could start", len(picks), free, could)
		}
	})
}

func TestADecisionDependsOnTheFactsAndNotOnTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenants := drawTenants(t)
		free, fleet := rapid.IntRange(0, 100).Draw(t, "free"), rapid.Float64Range(0, 50).Draw(t, "fleet")
		picks := fairshare.Decide(tenants, fleet, free)
		if shuffled := fairshare.Decide(rapid.Permutation(tenants).Draw(t, "order"), fleet, free); !slices.Equal(picks, shuffled) {
			t.Fatal("two decisions on the same facts differ")
		}
	})
}

// fleet is a simulation: it starts runs one at a time and forgets what ended.
type fleet struct {
	tenants []fairshare.Tenant
	virtual float64
}

func (f *fleet) start() string {
	p := fairshare.Decide(f.tenants, f.virtual, 1)[0]
	f.virtual = p.Fleet
	for i := range f.tenants {
		if f.tenants[i].ID == p.Tenant {
			f.tenants[i].VirtualTime = p.VirtualTime
			f.tenants[i].Waiting--
		}
	}
	return p.Tenant
}

func TestWeightsAreKeptWithinFivePercentWhileAllWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, total := &fleet{}, 0
		for i, w := range rapid.SliceOfN(rapid.SampledFrom([]int{1, 4, 16}), 2, 6).Draw(t, "weights") {
			f.tenants = append(f.tenants, fairshare.Tenant{ID: fmt.Sprint(i), Weight: w, Waiting: endless, Cap: endless})
			total += w
		}
		rounds, started := 40*total, map[string]int{}
		for range rounds {
			started[f.start()]++
		}
		for _, tn := range f.tenants {
			want := float64(rounds*tn.Weight) / float64(total)
			if got := float64(started[tn.ID]); math.Abs(got-want) > want*0.05 {
				t.Fatalf("weight %d started %v of %d, want %v", tn.Weight, got, rounds, want)
			}
		}
	})
}

func TestNobodyStarves(t *testing.T) {
	// However the others are weighted, a tenant that waits starts before each
	// of them has started its weight's worth once more.
	rapid.Check(t, func(t *rapid.T) {
		f, bound := &fleet{}, 1
		for i, w := range rapid.SliceOfN(rapid.SampledFrom([]int{1, 4, 16}), 1, 10).Draw(t, "weights") {
			f.tenants = append(f.tenants, fairshare.Tenant{ID: fmt.Sprint(i), Weight: w, Waiting: endless, Cap: endless})
			bound += w + 1
		}
		f.tenants = append(f.tenants, fairshare.Tenant{ID: "patient", Weight: 1, Waiting: endless, Cap: endless})
		waited := 0
		for range 10 * bound {
			if f.start() == "patient" {
				waited = 0
			} else if waited++; waited > bound {
				t.Fatalf("waited for %d starts of others, want at most %d", waited, bound)
			}
		}
	})
}

func TestIdlenessSavesNothingUp(t *testing.T) {
	tenants := []fairshare.Tenant{
		{ID: "busy", Weight: 1, VirtualTime: 1000, Waiting: endless, Cap: endless},
		{ID: "idle", Weight: 1, VirtualTime: 0, Waiting: endless, Cap: endless},
	}
	n := 0
	for _, p := range fairshare.Decide(tenants, 1000, 10) {
		if p.Tenant == "idle" {
			n++
		}
	}
	if n != 5 {
		t.Errorf("after a long idle time one of two equals got %d of 10 starts", n)
	}
}

func TestTenThousandRunsOfOneTenantDelayNobodyElse(t *testing.T) {
	// Five quiet tenants submit one run each, one after the other, while the
	// noisy one has 10,000 waiting: each is the next or the one after it.
	f := &fleet{tenants: []fairshare.Tenant{{ID: "noisy", Weight: 1, Waiting: 10_000, Cap: endless}}}
	for range 500 {
		f.start()
	}
	for i := range 5 {
		id := fmt.Sprint("quiet", i)
		f.tenants = append(f.tenants, fairshare.Tenant{ID: id, Weight: 1, Waiting: 1, Cap: 1})
		first, second := f.start(), f.start()
		if first != id && second != id {
			t.Errorf("%s waits behind %s and %s", id, first, second)
		}
	}
}

func BenchmarkDecideOverTenThousandTenants(b *testing.B) {
	tenants := make([]fairshare.Tenant, 10_000)
	for i := range tenants {
		tenants[i] = fairshare.Tenant{ID: fmt.Sprintf("ten_%05d", i), Weight: 1 + i%16, VirtualTime: float64(i * 7919 % 10_000), Waiting: 3, Cap: 5}
	}
	for b.Loop() {
		fairshare.Decide(tenants, 0, 200)
	}
}

func TestTheEstimateIsByPlaceAndSlots(t *testing.T) {
	for _, c := range []struct {
		place, running, slots int
		want                  time.Duration
		why                   string
	}{
		{1, 0, 1, 0, "a free slot"}, {5, 0, 5, 0, "the last free slot"}, {6, 0, 5, 2 * time.Minute, "one must end first"},
		{1, 5, 5, 2 * time.Minute, "all are taken"}, {5, 5, 5, 10 * time.Minute, "one whole round"},
		{1, 9, 5, 2 * time.Minute, "more run than the new limit allows"}, {1, 1, 1, 10 * time.Minute, "one slot"}, {3, 0, 0, 0, "no slots"},
	} {
		if got := fairshare.Estimate(c.place, c.running, c.slots, 10*time.Minute); got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}
