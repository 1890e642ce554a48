package ledger

import (
	"time"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// Sum is what runs that have ended took together.
type Sum struct {
	Succeeded, Failed, TimedOut, Cancelled int
	Usage                                  agent.Usage
	CostUSD                                float64 // of the runs whose cost is known
	Unpriced                               int     // runs that took something and whose cost is not known
	Milliseconds                           int64   // of the agents, from the first claim to the end
}

// Group is the sum of a UTC day, an agent and a model.
type Group struct {
	Day          string // 2006-01-02
	Agent, Model string
	Sum          Sum
}

// Of is what a run that has ended took.
func Of(r task.Run) Sum {
	spend := r.Spend()
	s := Sum{Usage: spend.Usage}
	switch r.State {
	case task.Succeeded:
		s.Succeeded = 1
	case task.TimedOut:
		s.TimedOut = 1
	case task.Cancelled:
		s.Cancelled = 1
	default:
		s.Failed = 1
	}
	switch {
	case spend.CostUSD != nil:
		s.CostUSD = *spend.CostUSD
	case spend.Usage != agent.Usage{}:
		s.Unpriced = 1
	}
	if !r.StartedAt.IsZero() {
		s.Milliseconds = r.EndedAt.Sub(r.StartedAt).Milliseconds()
	}
	return s
}

// Runs is how many runs ended.
func (s Sum) Runs() int { return s.Succeeded + s.Failed + s.TimedOut + s.Cancelled }

// Add returns both together.
func (s Sum) Add(t Sum) Sum {
	return Sum{s.Succeeded + t.Succeeded, s.Failed + t.Failed, s.TimedOut + t.TimedOut, s.Cancelled + t.Cancelled,
		s.Usage.Add(t.Usage), s.CostUSD + t.CostUSD, s.Unpriced + t.Unpriced, s.Milliseconds + t.Milliseconds}
}

// MeanRun is how long a run that was not cancelled took on average; false when
// none ended so.
func (s Sum) MeanRun() (time.Duration, bool) {
	n := s.Runs() - s.Cancelled
	if n <= 0 || s.Milliseconds <= 0 {
		return 0, false
	}
	return time.Duration(s.Milliseconds/int64(n)) * time.Millisecond, true
}
