package task

import "time"

// Timing are the waits and leases of a run. They are settings, so that tests
// of the whole system run with short ones.
type Timing struct {
	ClaimLease      time.Duration // from launch until a worker must have claimed
	HeartbeatLease  time.Duration // between heartbeats after that
	HeartbeatEvery  time.Duration // what workers are told to keep
	UploadGrace     time.Duration // after the deadline, for uploads and finish
	NoCapacityWait  time.Duration // between tries when there is no capacity
	NoCapacityLimit time.Duration // then the run goes back to the queue
}

// DefaultTiming is what production uses.
var DefaultTiming = Timing{
	ClaimLease:      5 * time.Minute,
	HeartbeatLease:  90 * time.Second,
	HeartbeatEvery:  20 * time.Second,
	UploadGrace:     5 * time.Minute,
	NoCapacityWait:  30 * time.Second,
	NoCapacityLimit: 15 * time.Minute,
}

// MaxInfraRetries is how often an infrastructure failure is tried again.
const MaxInfraRetries = 2

// Next is what settlement does with a run whose waiting state has ended.
type Next string

// The steps after settlement, as the state machine's Choice reads them.
const (
	NextDone  Next = "done"  // the run has ended, or belongs to another execution
	NextAgain Next = "again" // launch another attempt now
	NextWait  Next = "wait"  // launch again after Decision.Wait
)

// Decision is what is to be done with a run.
type Decision struct {
	Next Next
	Wait time.Duration
	// End is the terminal state to write when Next is done; empty when the run
	// is terminal already or goes back to the queue.
	End    State
	Reason Reason
	Detail string
	// Requeue sends the run back to the queue: there was no capacity.
	Requeue bool
	// InfraRetry says that Next again consumes an infrastructure retry.
	InfraRetry bool
}

// Decide tells what to do with an in-flight run whose attempt is over, from
// what is stored about it and nothing else. A stored result always wins.
func Decide(r Run, now time.Time, t Timing) Decision {
	switch {
	case r.State.Terminal() || r.State == Queued:
		return Decision{Next: NextDone}
	case r.Result != nil:
		return Decision{Next: NextDone, End: r.Result.State, Reason: r.Result.Reason, Detail: r.Result.Detail}
	case !r.CancelRequestedAt.IsZero():
		return Decision{Next: NextDone, End: Cancelled, Reason: ReasonCancelled}
	case !r.Deadline.IsZero() && !now.Before(r.Deadline):
		return Decision{Next: NextDone, End: TimedOut, Reason: ReasonDeadline}
	case r.Attempt.End.Cause == NoCapacity && !r.NoCapacitySince.IsZero(): // zero: it was an earlier start's
		if now.Sub(r.NoCapacitySince) >= t.NoCapacityLimit {
			return Decision{Next: NextDone, Requeue: true}
		}
		return Decision{Next: NextWait, Wait: t.NoCapacityWait}
	case r.InfraRetries < MaxInfraRetries:
		return Decision{Next: NextAgain, InfraRetry: true}
	case r.Attempt.End.Cause == LaunchFailed:
		return Decision{Next: NextDone, End: Failed, Reason: ReasonLaunchFailed, Detail: r.Attempt.End.Detail}
	default:
		return Decision{Next: NextDone, End: Failed, Reason: ReasonWorkerLost, Detail: r.Attempt.End.Detail}
	}
}
