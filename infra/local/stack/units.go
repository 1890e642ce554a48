package stack

import (
	"strings"

	"outpost/shared/topology"
)

// Units are what was used in the units that AWS bills.
type Units struct {
	Invocations  map[string]int64 `json:"invocations"` // by function
	Calls        map[string]int64 `json:"calls"`       // of AWS APIs, by service
	ReadUnits    float64          `json:"read_units"`  // of DynamoDB
	WriteUnits   float64          `json:"write_units"`
	Transitions  int64            `json:"transitions"`   // of the state machine
	HTTPRequests int64            `json:"http_requests"` // that reached a function
}

// Meter counts from the moment it was made.
type Meter struct {
	stack       *Stack
	without     map[string]bool
	invocations map[string]int64
	transitions int64
}

// Meter starts to count, without the named functions and their calls: those by
// which a test watches. It forgets the calls recorded before.
func (s *Stack) Meter(without ...string) *Meter {
	m := &Meter{stack: s, without: map[string]bool{}, invocations: map[string]int64{}, transitions: s.States.Transitions()}
	for _, name := range without {
		m.without[name] = true
	}
	for name, stats := range s.Lambda.Stats() {
		m.invocations[name] = stats.Invocations
	}
	s.Recorder.Reset()
	return m
}

// Units returns what was used so far. Polling of queues is not counted: AWS
// does it too, at a rate of its own.
func (m *Meter) Units() Units {
	u := Units{Invocations: map[string]int64{}, Calls: map[string]int64{}, Transitions: m.stack.States.Transitions() - m.transitions}
	behindRoutes := map[string]bool{}
	for _, r := range topology.Routes {
		behindRoutes[r.Function] = true
	}
	names := map[string]string{}
	for _, f := range topology.Functions {
		names[application(f)] = f.Name
	}
	for name, stats := range m.stack.Lambda.Stats() {
		n := stats.Invocations - m.invocations[name]
		if n == 0 || m.without[name] {
			continue
		}
		u.Invocations[name] = n
		if behindRoutes[name] {
			u.HTTPRequests += n
		}
	}
	for _, c := range m.stack.Recorder.Calls() {
		if c.Caller == "local" || m.without[names[c.Caller]] {
			continue
		}
		u.Calls[c.Service]++
		switch {
		case c.Service != "dynamodb":
		case strings.HasPrefix(c.Action, "Get"), c.Action == "Query":
			u.ReadUnits += c.Units
		default:
			u.WriteUnits += c.Units
		}
	}
	return u
}
