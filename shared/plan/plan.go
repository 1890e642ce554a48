// Package plan holds the one table of plans. API, checks, docs and the
// scheduler read their limits from here and from nowhere else.
package plan

import "time"

// Unlimited as a daily limit means that no day meter is checked.
const Unlimited = -1

// Plan is a row of limits.
type Plan struct {
	Name           string        // free, pro or enterprise
	PriceUSD       int           // a month
	RunsPerDay     int           // runs admitted per UTC day, or Unlimited
	ConcurrentRuns int           // runs starting or running at once
	Agents         []string      // agent names that may be used; empty means all
	MaxTimeout     time.Duration // longest timeout_seconds of a task
	Weight         int           // share in fair queueing

	RequestsPerMinute int // of the API, over all of a tenant's keys
}

// The plans, cheapest first.
var table = []Plan{
	{Name: "free", PriceUSD: 0, RunsPerDay: 10, ConcurrentRuns: 1, Agents: []string{"claude"}, MaxTimeout: 5 * time.Minute, Weight: 1, RequestsPerMinute: 600},
	{Name: "pro", PriceUSD: 29, RunsPerDay: 100, ConcurrentRuns: 5, MaxTimeout: 15 * time.Minute, Weight: 4, RequestsPerMinute: 1800},
	{Name: "enterprise", PriceUSD: 199, RunsPerDay: Unlimited, ConcurrentRuns: 20, MaxTimeout: 60 * time.Minute, Weight: 16, RequestsPerMinute: 6000},
}

// Lookup returns the plan of a name, and whether there is one.
func Lookup(name string) (Plan, bool) {
	for _, p := range table {
		if p.Name == name {
			return p, true
		}
	}
	return Plan{}, false
}

// All returns every plan, cheapest first. The caller may keep the slice.
func All() []Plan { return append([]Plan(nil), table...) }

// Allows tells whether the plan includes an agent.
func (p Plan) Allows(agent string) bool {
	if len(p.Agents) == 0 {
		return true
	}
	for _, a := range p.Agents {
		if a == agent {
			return true
		}
	}
	return false
}

// Included returns those of some agents that the plan includes, never nil.
func (p Plan) Included(agents []string) []string {
	in := []string{}
	for _, a := range agents {
		if p.Allows(a) {
			in = append(in, a)
		}
	}
	return in
}
