package tenant

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"outpost/shared/plan"
)

// Overrides replace single limits of the plan for one tenant. Zero means "as
// the plan says". Two of them are compared with ==.
type Overrides struct {
	RunsPerDay        int    `json:"runs_per_day,omitempty"`
	ConcurrentRuns    int    `json:"concurrent_runs,omitempty"`
	Agents            Agents `json:"agents,omitempty"`
	MaxTimeoutSeconds int    `json:"max_timeout_seconds,omitempty"`
	Weight            int    `json:"weight,omitempty"`

	RequestsPerMinute int `json:"requests_per_minute,omitempty"`
}

// over returns a plan's limits with the overrides in their place.
func (o Overrides) over(p plan.Plan) plan.Plan {
	for limit, own := range map[*int]int{&p.RunsPerDay: o.RunsPerDay, &p.ConcurrentRuns: o.ConcurrentRuns, &p.Weight: o.Weight, &p.RequestsPerMinute: o.RequestsPerMinute} {
		if own != 0 {
			*limit = own
		}
	}
	if o.MaxTimeoutSeconds != 0 {
		p.MaxTimeout = time.Duration(o.MaxTimeoutSeconds) * time.Second
	}
	switch o.Agents {
	case "":
	case AllAgents:
		p.Agents = nil
	default:
		p.Agents = o.Agents.Names()
	}
	return p
}

// Agents is a set of agents by their names: in alphabetical order, a space in
// between, so that equal sets are equal values. Empty is none.
type Agents string

// AllAgents is every agent that there is, or will be.
const AllAgents Agents = "all"

// AgentsOf makes a set of names; "all" among them makes it AllAgents.
func AgentsOf(names ...string) Agents {
	if slices.Contains(names, string(AllAgents)) {
		return AllAgents
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return Agents(strings.Join(slices.Compact(names), " "))
}

// Names lists the set.
func (a Agents) Names() []string { return strings.Fields(string(a)) }

// MarshalJSON writes a set as an array of names.
func (a Agents) MarshalJSON() ([]byte, error) { return json.Marshal(a.Names()) }

// UnmarshalJSON reads an array of names; null is none.
func (a *Agents) UnmarshalJSON(b []byte) error {
	var names []string
	err := json.Unmarshal(b, &names)
	*a = AgentsOf(names...)
	return err
}

// OverridesChange names the overrides that are wanted otherwise. What it does not
// name stays as it is at that moment, so that of two who change different
// overrides at once, neither undoes the other's change.
type OverridesChange struct {
	RunsPerDay        Override[int]    `json:"runs_per_day"`
	ConcurrentRuns    Override[int]    `json:"concurrent_runs"`
	Agents            Override[Agents] `json:"agents"`
	MaxTimeoutSeconds Override[int]    `json:"max_timeout_seconds"`
	Weight            Override[int]    `json:"weight"`

	RequestsPerMinute Override[int] `json:"requests_per_minute"`
}

// Override is what is wanted of one override, if it is named; a zero value takes
// it off.
type Override[T any] struct {
	Named bool
	Value T
}

// To is the wish that an override be a value.
func To[T any](value T) Override[T] { return Override[T]{true, value} }

// UnmarshalJSON reads a value, or null, which takes the override off.
func (o *Override[T]) UnmarshalJSON(b []byte) error {
	o.Named = true
	return json.Unmarshal(b, &o.Value)
}

func (o Override[T]) apply(to *T) {
	if o.Named {
		*to = o.Value
	}
}

// apply returns the overrides after a change.
func (c OverridesChange) apply(o Overrides) Overrides {
	c.RunsPerDay.apply(&o.RunsPerDay)
	c.ConcurrentRuns.apply(&o.ConcurrentRuns)
	c.Agents.apply(&o.Agents)
	c.MaxTimeoutSeconds.apply(&o.MaxTimeoutSeconds)
	c.Weight.apply(&o.Weight)
	c.RequestsPerMinute.apply(&o.RequestsPerMinute)
	return o
}
