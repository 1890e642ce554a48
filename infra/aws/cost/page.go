package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cost is what an amount of something comes to, with and without what every
// account has free.
func cost(name string, amount float64) (list, paid float64) {
	p := prices[name]
	return amount * p.usd, max(0, amount-p.free) * p.usd
}

// bill adds up amounts.
func bill(amounts map[string]float64) (list, paid float64) {
	for name, amount := range amounts {
		l, p := cost(name, amount)
		list, paid = list+l, paid+p
	}
	return list, paid
}

// goal is what the design wants of a month.
type goal struct {
	tenants  float64 // 0: idle
	most     float64 // USD
	promised string  // by the earlier Outpost
}

var goals = []goal{
	{0, 5, "under $15; it took about $95"},
	{10, 100, "$300"},
	{100, 200, "$600"},
	{1000, 2000.0 / 3, "$2,000"},
}

// page is docs/cost.md.
func page(u units, source string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# What Outpost costs\n\nWritten by `make cost`: units that the local target measures (`%s`) times list prices of %s as of %s, for a usage that is assumed", source, region, asOf)
	say("and stated below. Tenants pay their providers themselves. Nobody has seen a bill yet.\n")
	say("Two sums: at list prices from the first unit, and after what AWS gives every account for ever (Lambda's first million requests and so on, in the price table).\n")
	say("## A month\n\n| tenants | runs | list, $ | after free units, $ | goal, $ | | promised by the earlier Outpost |\n|---|---|---|---|---|---|---|")
	for _, g := range goals {
		amounts, runs := idle(u), 0.0
		if g.tenants > 0 {
			amounts, runs = month(u, g.tenants), g.tenants*runsPerTenant()
		}
		list, paid := bill(amounts)
		verdict := "met"
		switch {
		case paid > g.most:
			verdict = "**missed**"
		case list > g.most:
			verdict = "met with the free units alone"
		}
		name := fmt.Sprintf("%.0f", g.tenants)
		if g.tenants == 0 {
			name = "idle"
		}
		say("| %s | %.0f | %.2f | %.2f | %.0f | %s | %s |", name, runs, list, paid, g.most, verdict, g.promised)
	}
	list, _ := bill(scaled(perRun(u, usage.minutes), 1000))
	say("\n## A thousand runs\n\n%.2f $ at list prices with agents that work %g minutes; the containers' share is in the last column. On Spot a first attempt's container costs about %.0f %% less, but for its address.\n",
		list, usage.minutes, 100*spotDiscount)
	say("| minutes an agent works | list, $ | of it Fargate and addresses, $ |\n|---|---|---|")
	for _, minutes := range []float64{1, 3, 4, 10, 30} {
		amounts := scaled(perRun(u, minutes), 1000)
		list, _ := bill(amounts)
		containers := 0.0
		for _, name := range []string{"vCPU hours", "memory hours", "address hours"} {
			l, _ := cost(name, amounts[name])
			containers += l
		}
		say("| %g | %.2f | %.2f |", minutes, list, containers)
	}
	table(say, "Idle, by line", idle(u))
	for _, g := range goals[1:] {
		table(say, fmt.Sprintf("%.0f tenants, by line", g.tenants), month(u, g.tenants))
	}
	assumptions(say)
	say("\n## Prices\n\n| | unit | $ | free a month | read in |\n|---|---|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(prices)) {
		p := prices[name]
		say("| %s | %s | %s | %s | %s |", p.what, p.unit, number(p.usd), number(p.free), p.from)
	}
	return b.String()
}

func scaled(amounts map[string]float64, n float64) map[string]float64 {
	out := map[string]float64{}
	for name, a := range amounts {
		out[name] = a * n
	}
	return out
}

// table lists a month's lines, dearest first; what rounds to nothing is one row.
func table(say func(string, ...any), title string, amounts map[string]float64) {
	say("\n## %s\n\n| | amount | unit | list, $ | after free units, $ |\n|---|---|---|---|---|", title)
	names := slices.SortedFunc(maps.Keys(amounts), func(a, b string) int {
		la, _ := cost(a, amounts[a])
		lb, _ := cost(b, amounts[b])
		return cmp.Or(cmp.Compare(lb, la), cmp.Compare(a, b))
	})
	restList, restPaid := 0.0, 0.0
	for _, name := range names {
		list, paid := cost(name, amounts[name])
		if list < 0.005 {
			restList, restPaid = restList+list, restPaid+paid
			continue
		}
		say("| %s | %s | %s | %.2f | %.2f |", prices[name].what, number(amounts[name]), prices[name].unit, list, paid)
	}
	list, paid := bill(amounts)
	say("| what is under half a cent | | | %.2f | %.2f |", restList, restPaid)
	say("| **sum** | | | **%.2f** | **%.2f** |", list, paid)
}

func assumptions(say func(string, ...any)) {
	u := usage
	say("\n## What is assumed\n\n| | |\n|---|---|")
	for _, row := range [][2]string{
		{"tenants on free, pro, enterprise", fmt.Sprintf("%.0f %%, %.0f %%, %.0f %%", 100*u.freeShare, 100*u.proShare, 100*u.enterpriseShare)},
		{"runs a month of one on free, pro, enterprise", fmt.Sprintf("%g, %g, %g: %g on average", u.freeRuns, u.proRuns, u.enterpriseRuns, runsPerTenant())},
		{"minutes an agent works, and its image takes to arrive (billed too)", fmt.Sprintf("%g and %g", u.minutes, u.pullMinutes)},
		{"containers", fmt.Sprintf("%.1f vCPU and %.1f GB, on demand, with a public address", worker().vcpu, worker().gb)},
		{"runs of a task; tasks that somebody follows, asking every 3 s", fmt.Sprintf("%g; %.0f %%", u.runsPerTask, 100*u.followed)},
		{"event batches a minute; heartbeats", fmt.Sprintf("%g; every 20 s", u.eventsPerMinute)},
		{"artifacts and table rows that a run leaves, kept half a year on average", fmt.Sprintf("%g MB and %g KB", u.artifactMB, u.rowKB)},
		{"seconds of an invocation, GB of a function", fmt.Sprintf("%g, %g", u.warmSeconds, functionGB)},
		{"log of an invocation, of a worker", fmt.Sprintf("%g bytes, %g KB", u.logLine, u.workerLogKB)},
		{"idle polls of the one queue", fmt.Sprintf("%d pollers, 20 s each", pollers)},
		{"left out", "support, taxes, retries after faults, and what tenants pay"},
	} {
		say("| %s | %s |", row[0], row[1])
	}
}

// number writes figures of any size without noise.
func number(n float64) string {
	switch {
	case n == 0:
		return "–"
	case n >= 1000:
		return fmt.Sprintf("%.0f", n)
	default:
		return strings.TrimSuffix(fmt.Sprintf("%.3g", n), "e+00")
	}
}
