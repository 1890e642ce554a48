// Package outcome decides how an attempt ends: the reasons that its parts fail
// with, and the one function that turns what was seen into a result.
package outcome

import (
	"errors"
	"strings"
	"unicode/utf8"

	"outpost/shared/task"
)

// Failure is an error with the reason that the tenant will read.
type Failure struct {
	Reason task.Reason
	Detail string // one line for people; not scrubbed yet
}

// Fail returns a Failure.
func Fail(r task.Reason, detail string) error { return &Failure{Reason: r, Detail: detail} }

func (f *Failure) Error() string { return string(f.Reason) + ": " + f.Detail }

// The causes that end an attempt from outside. A context of the run is
// cancelled with one of them.
var (
	ErrDeadline   = errors.New("the deadline has passed")
	ErrCancelled  = errors.New("the run was cancelled")
	ErrSuperseded = errors.New("another attempt took over") // nobody takes this one's report
	ErrStopped    = errors.New("the container was told to stop")
)

// MaxDetail is the longest detail, in bytes.
const MaxDetail = 300

// Detail makes one line of at most MaxDetail bytes of a text.
func Detail(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return r < 0x20 || r == 0x7f || r == ' '
	}), " ")
	if len(text) <= MaxDetail {
		return text
	}
	const more = "…"
	cut := MaxDetail - len(more)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}

// Facts are what was seen of an attempt.
type Facts struct {
	// Err is what ended the attempt early: nil, a *Failure, one of the causes
	// above, or an error of the worker itself.
	Err error
	// AgentError is what the agent or its provider failed with; nil when the
	// agent says that it succeeded.
	AgentError *Failure
	// Provider is how the last call of the provider failed; nil when it was served.
	Provider *Failure
	Changed  bool // the patch is not empty
}

// Decide returns the state and reason of an attempt. An agent succeeds by what
// it left and what it says, never by one of them alone.
func Decide(f Facts) (task.State, task.Reason, string) {
	var failure *Failure
	switch {
	case errors.Is(f.Err, ErrCancelled):
		return task.Cancelled, task.ReasonCancelled, ""
	case errors.Is(f.Err, ErrDeadline):
		if f.Provider != nil {
			return task.TimedOut, task.ReasonDeadline, "at its end: " + f.Provider.Detail
		}
		return task.TimedOut, task.ReasonDeadline, ""
	case errors.As(f.Err, &failure):
		return task.Failed, failure.Reason, failure.Detail
	case f.Err != nil:
		return task.Failed, task.ReasonWorkerFailed, f.Err.Error()
	case f.AgentError != nil:
		return task.Failed, f.AgentError.Reason, f.AgentError.Detail
	case !f.Changed && f.Provider != nil:
		// Some agents call it a success when their provider refuses them.
		return task.Failed, f.Provider.Reason, f.Provider.Detail
	case !f.Changed:
		return task.Failed, task.ReasonNoChanges, ""
	default:
		return task.Succeeded, "", ""
	}
}
