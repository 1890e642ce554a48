package task

import "slices"

// State of a run or a task.
type State string

// The states of a run. A task is queued, running or completed.
const (
	Queued    State = "queued"
	Starting  State = "starting"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	TimedOut  State = "timed_out"
	Cancelled State = "cancelled"

	Completed State = "completed" // tasks only
)

// Outcome of a completed task.
type Outcome string

// The outcomes.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeCancelled Outcome = "cancelled"
)

// next lists the legal transitions of a run. starting → queued happens when
// there was no capacity for too long; running → starting when an attempt was
// lost and is tried again.
var next = map[State][]State{
	Queued:   {Starting, Failed, Cancelled},
	Starting: {Running, Queued, Failed, TimedOut, Cancelled},
	Running:  {Starting, Succeeded, Failed, TimedOut, Cancelled},
}

// Terminal tells whether a run in this state has ended for ever.
func (s State) Terminal() bool {
	return s == Succeeded || s == Failed || s == TimedOut || s == Cancelled
}

// InFlight tells whether a run in this state occupies a slot.
func (s State) InFlight() bool { return s == Starting || s == Running }

// CanBecome tells whether a run may go from s to t.
func (s State) CanBecome(t State) bool { return slices.Contains(next[s], t) }
