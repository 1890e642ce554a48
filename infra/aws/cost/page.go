package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// writer writes the page, line by line.
type writer struct{ strings.Builder }

func (w *writer) say(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// head begins a section with a table. Columns that begin with $ are figures.
func (w *writer) head(title, before string, columns ...string) {
	w.say("\n## %s\n", title)
	if before != "" {
		w.say("%s\n", before)
	}
	w.row(columns...)
	w.say("|%s", strings.Repeat("---|", len(columns)))
}

func (w *writer) row(cells ...string) { w.say("| %s |", strings.Join(cells, " | ")) }

// page is docs/cost.md.
func page(u units, from string) string {
	w := &writer{}
	w.say("# What Outpost costs on AWS")
	w.say("\nWritten by `make cost`, which multiplies the units that the local target measures (`%s`) by list prices of %s, looked up on %s, for a usage", from, region, lookedUp)
	w.say("that is assumed and stated below. Tenants pay their providers themselves. Nobody has seen a bill yet.")
	w.months(u)
	w.sensitivity(u)
	w.secretStores(u)
	for _, g := range goals {
		title, a := "Idle, by line", idle(u, 0)
		if g.tenants > 0 {
			title, a = fmt.Sprintf("%.0f tenants, by line", g.tenants), month(u, g.tenants, runsPerTenant(), agentMinutes, false)
		}
		w.lines(title, a)
	}
	w.lines("1,000 runs, by line", perRun(u, agentMinutes, false).times(1000))
	w.measured(u)
	w.head("What is assumed", "", "", "", "because")
	for _, a := range assumptions() {
		w.row(a.what, a.value, a.why)
	}
	w.prices(u)
	return w.String()
}

// months compares a month's bill with the goals, as prod is set and on Spot.
func (w *writer) months(u units) {
	w.head("A month", "", "tenants", "runs", "at list prices", "after free units", "goal", "", "on Spot, after free units", "", "promised by the earlier Outpost")
	for _, g := range goals {
		if g.tenants == 0 {
			for _, year := range []struct {
				name      string
				rotations float64
			}{{"idle", 0}, {"idle, from the third year", 2}} {
				list, paid := bill(idle(u, year.rotations))
				w.row(year.name, "0", dollars(list), dollars(paid), dollars(g.most), g.verdict(list, paid), "", "", g.promised)
			}
			continue
		}
		list, paid := bill(month(u, g.tenants, runsPerTenant(), agentMinutes, false))
		spotList, spotPaid := bill(month(u, g.tenants, runsPerTenant(), agentMinutes, true))
		w.row(fmt.Sprintf("%.0f", g.tenants), fmt.Sprintf("%.0f", g.tenants*runsPerTenant()), dollars(list), dollars(paid), dollars(g.most), g.verdict(list, paid),
			dollars(spotPaid), g.verdict(spotList, spotPaid), g.promised)
	}
	for _, g := range goals[1:] {
		a := month(u, g.tenants, runsPerTenant(), agentMinutes, false)
		if _, paid := bill(a); paid > g.most {
			containers, _ := bill(containersOf(a))
			w.say("\n**%.0f tenants cost $%.0f more than the goal**, on demand; their containers alone are $%.0f. At list prices it holds up to %.0f runs a tenant, on Spot up to %.0f.",
				g.tenants, paid-g.most, containers, g.room(u, agentMinutes, false), g.room(u, agentMinutes, true))
		}
	}
	w.say("\nThe goals are those of the design: idle at most $5, and a third of what was promised. Free units are those that AWS gives every account for ever, in the price")
	w.say("table; an account has them once, so whatever else runs in it uses them too. What AWS gives for twelve months, or to new accounts, is not counted.")
	w.say("On demand is how prod is set; Spot is the setting `spot_first_attempts` of cdk.json, which dev uses.")
	w.say("The key is rotated once a year, and since AWS's change of 2024 its first two rotations cost a dollar a month each, later ones nothing: hence the third year.")
}

// secretStores says what the other store of tenants' secrets costs.
func (w *writer) secretStores(u units) {
	w.head("If tenants' secrets are in Secrets Manager", "With `secret_store` in cdk.json; else they are in the table, sealed under the key. At list prices, a month.",
		"tenants", "secrets", "reads of them in place of KMS", "more than in the table")
	for _, g := range goals[1:] {
		m, a := month(u, g.tenants, runsPerTenant(), agentMinutes, false), apart(u, g.tenants, runsPerTenant())
		with, _ := bill(m.plus(a))
		without, _ := bill(m)
		held, _ := bill(amounts{secrets: a[secrets]})
		w.row(fmt.Sprintf("%.0f", g.tenants), dollars(held), dollars(with-without-held), dollars(with-without))
	}
}

// sensitivity says how much depends on what is assumed.
func (w *writer) sensitivity(u units) {
	w.head("If agents work longer", "At list prices. The last columns say how many runs a month each tenant may make before the goal is missed.",
		"minutes an agent works", "1,000 runs", "of it Fargate and addresses", "1,000 runs on Spot", "runs each of 10, 100, 1,000 tenants", "the same on Spot")
	for _, minutes := range []float64{3, agentMinutes, 10, 30} {
		a, spot := perRun(u, minutes, false).times(1000), perRun(u, minutes, true).times(1000)
		list, _ := bill(a)
		spotList, _ := bill(spot)
		var room, spotRoom []string
		for _, g := range goals[1:] {
			room = append(room, fmt.Sprintf("%.0f", g.room(u, minutes, false)))
			spotRoom = append(spotRoom, fmt.Sprintf("%.0f", g.room(u, minutes, true)))
		}
		containers, _ := bill(containersOf(a))
		w.row(fmt.Sprintf("%g", minutes), dollars(list), dollars(containers), dollars(spotList), strings.Join(room, ", "), strings.Join(spotRoom, ", "))
	}
	w.say("\nThe usage above is %.0f runs a tenant.", runsPerTenant())
}

// lines lists a bill, dearest first; what rounds to nothing is one row.
func (w *writer) lines(title string, a amounts) {
	w.head(title, "", "", "amount", "unit", "at list prices", "after free units")
	sorted := slices.Clone(prices)
	list := func(p price) float64 { l, _ := p.cost(a[p.item]); return l }
	slices.SortStableFunc(sorted, func(p, q price) int { return cmp.Compare(list(q), list(p)) })
	rest, restPaid := 0.0, 0.0
	for _, p := range sorted {
		list, paid := p.cost(a[p.item])
		if list < 0.005 {
			rest, restPaid = rest+list, restPaid+paid
			continue
		}
		w.row(p.what, number(a[p.item]/p.per), p.unit, dollars(list), dollars(paid))
	}
	total, paid := bill(a)
	w.row("what is under half a cent", "", "", dollars(rest), dollars(restPaid))
	w.row("**sum**", "", "", "**"+dollars(total)+"**", "**"+dollars(paid)+"**")
}

// measured shows where the units come from.
func (w *writer) measured(u units) {
	w.head("What is measured", "A run of one agent that takes seconds, with a verify command, on the local target, and a minute in which nothing happens. A test fails when a run\n"+
		"uses over 10 % more. The last rows are calls of the table measured on their own: a run of minutes makes more of them, and takes as many as its minutes say.",
		"", "invocations", "read units", "write units", "transitions", "HTTP requests", "AWS calls")
	for _, part := range []struct {
		name string
		used
	}{{"a run", u.Run}, {"an idle minute", u.IdleMinute}} {
		w.row(part.name, number(sum(part.Invocations)), number(part.ReadUnits), number(part.WriteUnits), number(part.Transitions), number(part.HTTPRequests), number(sum(part.Calls)))
	}
	for _, x := range []struct {
		name string
		action
	}{{"a heartbeat", actions.heartbeat}, {"an event batch", actions.batch}, {"a look of a terminal at a task of three runs", actions.look},
		{"a second of waiting for a run's events", actions.watch}, {"an API key checked", actions.authorize}} {
		w.row(x.name, number(x.invocations), number(x.read), number(x.write), "–", number(x.requests), "")
	}
}

// prices is the price list.
func (w *writer) prices(u units) {
	g := goals[len(goals)-1]
	a := month(u, g.tenants, runsPerTenant(), agentMinutes, false)
	doubt, _ := bill(amounts{readUnitsOf: a[readUnitsOf], writeUnitsOf: a[writeUnitsOf]})
	w.head("Prices", fmt.Sprintf("Amazon's own price pages fill their tables by script, so most prices were read where somebody quotes them. Pages of 2026 still quote DynamoDB's requests at\n"+
		"twice the price, as before AWS's cut of November 2024; were they right, %.0f tenants would cost $%s more.", g.tenants, dollars(doubt)),
		"", "unit", "$", "free units a month", "read in", "of")
	for _, p := range prices {
		w.row(p.what, p.unit, number(p.usd), number(p.free), p.where, p.asOf)
	}
}

// containersOf is what of the amounts is for containers on demand.
func containersOf(a amounts) amounts {
	return amounts{vcpuHours: a[vcpuHours], memoryHours: a[memoryHours], diskHours: a[diskHours], addressHours: a[addressHours]}
}

func sum(m map[string]float64) (n float64) {
	for _, v := range m {
		n += v // whole numbers: their order does not matter
	}
	return n
}

func dollars(n float64) string { return fmt.Sprintf("%.2f", n) }

// number writes figures of any size without noise.
func number(n float64) string {
	switch {
	case n == 0:
		return "–"
	case n >= 1000:
		return fmt.Sprintf("%.0f", n)
	case n < 0.001:
		return strings.TrimRight(fmt.Sprintf("%.10f", n), "0")
	default:
		return fmt.Sprintf("%.4g", n)
	}
}
