package main

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
)

// limit is one limit of a tenant, as it is called where.
type limit struct {
	field, title string
	show         func(client.TenantLimits) string
}

var tenantLimits = []limit{
	{"runs_per_day", "runs a UTC day", func(l client.TenantLimits) string {
		if l.RunsPerDay == nil {
			return "without limit"
		}
		return strconv.Itoa(*l.RunsPerDay)
	}},
	{"concurrent_runs", "runs at once", func(l client.TenantLimits) string { return strconv.Itoa(l.ConcurrentRuns) }},
	{"agents", "agents", func(l client.TenantLimits) string { return strings.Join(l.Agents, " ") }},
	{"max_timeout_seconds", "longest time-out", func(l client.TenantLimits) string { return seconds(l.MaxTimeoutSeconds) }},
	{"weight", "weight", func(l client.TenantLimits) string { return strconv.Itoa(l.Weight) }},
	{"requests_per_minute", "requests a minute", func(l client.TenantLimits) string { return strconv.Itoa(l.RequestsPerMinute) }},
}

// limitFlags are single limits in the place of the plan's.
type limitFlags struct {
	RunsPerDay        string   `placeholder:"N" help:"Runs a UTC day, or unlimited; as every limit: plan for what the plan says."`
	ConcurrentRuns    string   `placeholder:"N" help:"Runs at once."`
	Agents            []string `placeholder:"LIST" help:"Agents that it may use, as claude,codex; all for every agent that there is and will be."`
	MaxTimeout        string   `placeholder:"TIME" help:"Longest time-out of a task, as 20m; at most 1h."`
	Weight            string   `placeholder:"N" help:"Share in fair scheduling."`
	RequestsPerMinute string   `placeholder:"N" help:"Requests a minute, over all its keys."`
}

// asPlanned takes an override off.
const asPlanned = "plan"

// changed returns what the flags say, by the names of the API; nil takes an
// override off.
func (f limitFlags) changed() (client.Overrides, error) {
	o := client.Overrides{}
	for _, n := range []struct{ flag, field, text string }{
		{"runs-per-day", "runs_per_day", f.RunsPerDay}, {"concurrent-runs", "concurrent_runs", f.ConcurrentRuns}, {"weight", "weight", f.Weight},
		{"requests-per-minute", "requests_per_minute", f.RequestsPerMinute},
	} {
		switch {
		case n.text == "":
		case n.text == asPlanned:
			o[n.field] = nil
		case n.text == "unlimited" && n.field == "runs_per_day":
			o[n.field] = -1
		default:
			whole, err := strconv.Atoi(n.text)
			if err != nil || whole < 1 {
				return nil, usage("--%s must be a whole number from 1 on, or plan", n.flag)
			}
			o[n.field] = whole
		}
	}
	switch d, err := span(f.MaxTimeout); {
	case f.MaxTimeout == "":
	case f.MaxTimeout == asPlanned:
		o["max_timeout_seconds"] = nil
	case err != nil || d <= 0 || d%time.Second != 0:
		return nil, usage("--max-timeout must be whole seconds, as in 90s or 20m, or plan")
	default:
		o["max_timeout_seconds"] = int(d / time.Second)
	}
	switch {
	case len(f.Agents) == 1 && f.Agents[0] == asPlanned:
		o["agents"] = nil
	case len(f.Agents) > 0:
		o["agents"] = f.Agents
	}
	return o, nil
}

// set returns the overrides that the flags set.
func (f limitFlags) set() (client.Overrides, error) {
	o, err := f.changed()
	maps.DeleteFunc(o, func(_ string, value any) bool { return value == nil })
	return o, err
}
