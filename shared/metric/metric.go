// Package metric writes Outpost's own metrics to a function's log, in
// CloudWatch's embedded metric format: CloudWatch takes them from there, so that
// counting costs no call. A metric has no dimension: each tenant would be one
// more to pay for. What a line is about stands beside it as plain fields.
//
// The format: CloudWatch Embedded Metric Format specification, version 0.
package metric

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// Name is a metric's name.
type Name string

// The metrics; at most Max of them.
const (
	RunsStarted   Name = "RunsStarted"
	QueueSeconds  Name = "QueueSeconds" // from submission to start
	RunsSucceeded Name = "RunsSucceeded"
	RunsFailed    Name = "RunsFailed"
	RunsTimedOut  Name = "RunsTimedOut"
	RunsCancelled Name = "RunsCancelled" // after their start
	AttemptsLost  Name = "AttemptsLost"  // by no fault of agent or tenant
	NoCapacity    Name = "NoCapacity"    // launches that found none
	RunsHealed    Name = "RunsHealed"    // whose lease had ended
	PlansHealed   Name = "PlansHealed"   // that the reconciler found otherwise than Stripe has them
	EventsUnheard Name = "EventsUnheard" // Stripe's, of which no webhook has come for an hour
)

// Max is how many metrics there may be: each costs by the month.
const Max = 11

// All lists the metrics.
var All = []Name{RunsStarted, QueueSeconds, RunsSucceeded, RunsFailed, RunsTimedOut, RunsCancelled, AttemptsLost, NoCapacity, RunsHealed, PlansHealed, EventsUnheard}

func (n Name) unit() string {
	if n == QueueSeconds {
		return "Seconds"
	}
	return "Count"
}

// Emitter writes metrics of one namespace.
type Emitter struct {
	namespace string

	mu  sync.Mutex
	out io.Writer
}

// New returns an Emitter. The namespace tells deployments apart.
func New(namespace string, out io.Writer) *Emitter { return &Emitter{namespace: namespace, out: out} }

// Default writes to the standard output, which is a function's log.
func Default(namespace string) *Emitter { return New(namespace, os.Stdout) }

// Emit writes one value as of a time. The fields are names and values, and hold
// no secret.
func (e *Emitter) Emit(n Name, value float64, at time.Time, fields ...string) {
	line := map[string]any{
		"_aws": map[string]any{"Timestamp": at.UnixMilli(), "CloudWatchMetrics": []any{map[string]any{
			"Namespace": e.namespace, "Dimensions": [][]string{{}}, "Metrics": []any{map[string]string{"Name": string(n), "Unit": n.unit()}}}}},
		string(n): value,
	}
	for i := 0; i+1 < len(fields); i += 2 {
		line[fields[i]] = fields[i+1]
	}
	encoded, err := json.Marshal(line)
	if err != nil {
		return // not a finite number: there is nothing to count
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, _ = e.out.Write(append(encoded, '\n')) // a log that cannot be written is the platform's to tell
}
