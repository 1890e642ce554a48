package task

import "time"

// Event is one thing that happened in a run, as the worker told it. Text is
// scrubbed and at most MaxEventText bytes.
type Event struct {
	Seq  int64     `json:"seq"` // grows within a run; see EventSeq
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// Limits of events.
const (
	MaxEventText   = 16 << 10  // bytes
	MaxEventBatch  = 100       // events in one report
	MaxEventBytes  = 256 << 10 // bytes of one report
	MaxRunEvents   = 20_000    // events of one attempt; the cut is marked
	eventsPerTrial = 1_000_000_000
)

// The kinds of event.
const (
	EventPhase   = "phase"   // the worker moved on: clone, setup, agent, verify, upload
	EventMessage = "message" // the agent said something
	EventTool    = "tool"    // the agent used a tool
	EventError   = "error"   // the agent or its provider reported an error
	EventOutput  = "output"  // a line of setup or verify output, or one the adapter does not know
	EventCut     = "cut"     // the cap was reached; nothing follows in this attempt
)

// EventKinds lists every kind of event.
var EventKinds = []string{EventPhase, EventMessage, EventTool, EventError, EventOutput, EventCut}

// EventSeq is the sequence number of the n-th event (from 1) of an attempt
// (from 1): a later attempt's events follow an earlier one's.
func EventSeq(attempt int, n int64) int64 { return int64(attempt)*eventsPerTrial + n }

// EventAttempt is the attempt that a sequence number belongs to.
func EventAttempt(seq int64) int { return int(seq / eventsPerTrial) }
