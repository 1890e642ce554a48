package fairshare_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"outpost/shared/fairshare"
)

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
		free, fleet := rapid.IntRange(0, 100).Draw(t, "free"), rapid.Float64Range(0, 50).Draw(t, "fleet")
		picks, after := fairshare.Decide(tenants, fleet, free)
		if again, _ := fairshare.Decide(tenants, fleet, free); !slices.Equal(picks, again) {
			t.Fatal("two decisions on the same facts differ")
		}
		if after < fleet {
			t.Fatal("the fleet's virtual time went back")
		}
		started, could := map[string]int{}, 0
		for _, p := range picks {
			started[p.Tenant]++
		}
		for _, tn := range tenants {
			room := max(min(tn.Waiting, tn.Cap-tn.Running), 0)
			could += room
			if started[tn.ID] > room {
				t.Fatalf("%s started %d with room for %d", tn.ID, started[tn.ID], room)
			}
		}
		if len(picks) != min(free, could) {
			t.Fatalf("%d starts; %d slots are free and %d runs could start", len(picks), free, could)
		}
	})
}

// simulate starts runs one at a time from tenants that always wait.
func simulate(tenants []fairshare.Tenant, rounds int) map[string]int {
	started, fleet := map[string]int{}, 0.0
	for range rounds {
		var picks []fairshare.Pick
		picks, fleet = fairshare.Decide(tenants, fleet, 1)
		started[picks[0].Tenant]++
		for i := range tenants {
			if tenants[i].ID == picks[0].Tenant {
				tenants[i].VirtualTime = picks[0].VirtualTime
			}
		}
	}
	return started
}

func TestWeightsAreKeptWithinFivePercent(t *testing.T) {
	var tenants []fairshare.Tenant
	total := 0
	for i, w := range []int{1, 1, 4, 4, 16} {
		tenants = append(tenants, fairshare.Tenant{ID: fmt.Sprint(i), Weight: w, Waiting: 1 << 30, Cap: 1 << 30})
		total += w
	}
	const rounds = 5200
	started := simulate(tenants, rounds)
	for _, tn := range tenants {
		want := float64(rounds*tn.Weight) / float64(total)
		if got := float64(started[tn.ID]); math.Abs(got-want) > want*0.05 {
			t.Errorf("weight %d started %v of %d, want %v", tn.Weight, got, rounds, want)
		}
	}
}

func TestIdlenessSavesNothingUp(t *testing.T) {
	tenants := []fairshare.Tenant{
		{ID: "busy", Weight: 1, VirtualTime: 1000, Waiting: 1 << 30, Cap: 1 << 30},
		{ID: "idle", Weight: 1, VirtualTime: 0, Waiting: 1 << 30, Cap: 1 << 30},
	}
	picks, _ := fairshare.Decide(tenants, 1000, 10)
	n := 0
	for _, p := range picks {
		if p.Tenant == "idle" {
			n++
		}
	}
	if n != 5 {
		t.Errorf("after a long idle time one of two equals got %d of 10 starts", n)
	}
}

func TestANewcomerStartsAtOnceBesideANoisyTenant(t *testing.T) {
	tenants := []fairshare.Tenant{
		{ID: "noisy", Weight: 1, VirtualTime: 500, Waiting: 10_000, Cap: 1 << 30},
		{ID: "quiet", Weight: 1, Waiting: 5, Cap: 5},
	}
	picks, _ := fairshare.Decide(tenants, 499, 2)
	if picks[0].Tenant != "quiet" {
		t.Errorf("first to start: %+v", picks)
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
