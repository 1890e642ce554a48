// Package task is the heart of the domain: what a task and its runs are, which
// states they pass through, why a run ended, and how finished runs compare.
//
// A task is what the user asks, once. A run is one agent's try at it. An
// attempt is one container launched for a run. Terminal states never change.
package task

import (
	"slices"
	"time"

	"outpost/shared/agent"
)

// Limits of a submission.
const (
	MaxRuns        = 20        // runs in one task
	MaxPrompt      = 100 << 10 // bytes of a prompt
	MaxCommand     = 4 << 10   // bytes of a setup or verify command
	MaxTags        = 20
	MaxTag         = 64 // characters of a tag
	MinTimeout     = 10 * time.Second
	DefaultTimeout = 5 * time.Minute
)

// Priority orders a tenant's own waiting runs; it never moves a tenant ahead
// of another.
type Priority string

// The priorities, first served first.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// Rank is the priority's place in the queue's sort key: a lower digit starts
// earlier.
func (p Priority) Rank() int {
	switch p {
	case High:
		return 1
	case Low:
		return 9
	default:
		return 5
	}
}

// Spec is what the tenant asked for. It never changes after admission.
type Spec struct {
	Repo      string // clone URL, whole: scheme, host, owner and name
	Ref       string // branch, tag or commit; empty means the default branch
	Setup     string // shell command that prepares the checkout; may be empty
	Verify    string // shell command that checks a patch; may be empty
	Timeout   time.Duration
	BudgetUSD float64 // 0 means no budget
	Tags      []string
	Priority  Priority
}

// Task is a submission and where it stands.
type Task struct {
	ID        string
	Tenant    string
	Spec      Spec
	State     State   // queued, running or completed
	Outcome   Outcome // empty until completed
	Commit    string  // 40 hex digits, pinned by the task's first run; empty before
	CreatedAt time.Time
	StartedAt time.Time // zero until the first run starts
	EndedAt   time.Time // zero until completed
	Tally     Tally
	Agents    []string // of its runs, each once, in order
	// Runs is filled by reads of one task, in order of their numbers.
	Runs []Run
}

// AgentsOf lists the agents of runs, each once, in order.
func AgentsOf(runs []Run) (agents []string) {
	for _, r := range runs {
		if !slices.Contains(agents, r.Agent) {
			agents = append(agents, r.Agent)
		}
	}
	return agents
}

// Tally counts a task's runs. The settlement that moves Remaining to 0
// completes the task.
type Tally struct {
	Total     int
	Remaining int
	Succeeded int
	Cancelled int
}

// After returns the tally once one more run has ended in state s.
func (t Tally) After(s State) Tally {
	t.Remaining--
	switch s {
	case Succeeded:
		t.Succeeded++
	case Cancelled:
		t.Cancelled++
	}
	return t
}

// Outcome returns how a task with no remaining runs ended: succeeded when some
// run did, cancelled when every run was cancelled, else failed. It is empty
// while runs remain.
func (t Tally) Outcome() Outcome {
	switch {
	case t.Remaining > 0:
		return ""
	case t.Succeeded > 0:
		return OutcomeSucceeded
	case t.Cancelled == t.Total:
		return OutcomeCancelled
	default:
		return OutcomeFailed
	}
}

// Run is one agent's try at a task.
type Run struct {
	ID       string
	Task     string
	Tenant   string
	Number   int // 1 … 99 within the task
	Agent    string
	Model    string
	Priority Priority
	Timeout  time.Duration // of the task
	State    State
	Reason   Reason // empty until the run has ended otherwise than well
	Detail   string // one line for people; scrubbed

	CreatedAt         time.Time
	StartedAt         time.Time // when its worker first claimed it
	EndedAt           time.Time
	CancelRequestedAt time.Time // zero when nobody asked

	// Starts counts how often the scheduler started it; an execution is named
	// after the run and this number. It is above 1 only after a requeue.
	Starts int
	// Attempt is the current container launch, zero before the first.
	Attempt Attempt
	// LastContainer is the container of the attempt before, which the next
	// launch stops before it starts another.
	LastContainer string
	// InfraRetries counts attempts that ended by no fault of agent or tenant.
	InfraRetries int
	// EarlierSpend is what the attempts before the current one spent.
	EarlierSpend Spend
	// NoCapacitySince is when RunTask first found no capacity in this start.
	NoCapacitySince time.Time
	// Deadline is when the whole run must have ended, over all attempts: first
	// claim + timeout. Zero before the first claim.
	Deadline time.Time
	// LeaseUntil is when the run counts as lost unless somebody reports before.
	LeaseUntil time.Time

	Result *Result // stored once by the attempt that finished
}

// Attempt is one container launch of a run.
type Attempt struct {
	Number    int
	Nonce     string // of the claim that bound the ticket; empty before
	TaskToken string // of the state machine's waiting state
	Container string // ARN; empty until RunTask has answered
	OnDemand  bool   // not on Spot capacity
	MadeAt    time.Time
	LookAt    time.Time  // when, while nobody has claimed it, the reaper asks whether its container lives
	Spend     Spend      // as its last heartbeat told; a result tells it finally
	End       AttemptEnd // zero while the attempt is open
}

// Spend is what model calls used, and what they cost at list prices.
type Spend struct {
	Usage   agent.Usage `json:"usage"`
	CostUSD *float64    `json:"cost_usd,omitempty"` // nil when a model's price is unknown, or nothing was used
}

// Add returns the sum of two spends. Its cost is unknown when tokens of either
// have no known cost.
func (s Spend) Add(o Spend) Spend {
	switch {
	case o.Nothing():
		return s
	case s.Nothing():
		return o
	}
	sum := Spend{Usage: s.Usage.Add(o.Usage)}
	if s.CostUSD != nil && o.CostUSD != nil {
		usd := *s.CostUSD + *o.CostUSD
		sum.CostUSD = &usd
	}
	return sum
}

// Nothing tells whether nothing was spent.
func (s Spend) Nothing() bool {
	return s.Usage == agent.Usage{} && (s.CostUSD == nil || *s.CostUSD == 0)
}

// Spend is what all attempts of the run spent, as far as they told.
func (r Run) Spend() Spend {
	if r.Result != nil {
		return r.EarlierSpend.Add(Spend{r.Result.Usage, r.Result.CostUSD})
	}
	return r.EarlierSpend.Add(r.Attempt.Spend)
}

// DueAt is when the reaper looks after the run, unless it moves before: at the
// end of its lease, or earlier after a container that nobody speaks for yet.
func (r Run) DueAt() time.Time {
	if look := r.Attempt.LookAt; r.Attempt.Unclaimed() && !look.IsZero() && look.Before(r.LeaseUntil) {
		return look
	}
	return r.LeaseUntil
}

// Open tells whether the attempt was made and has not ended.
func (a Attempt) Open() bool { return a.Number > 0 && a.End.Cause == "" }

// Unclaimed tells whether the attempt is open and no worker has claimed it yet.
func (a Attempt) Unclaimed() bool { return a.Open() && a.Nonce == "" }

// Unsettled tells whether the attempt was lost and settlement has not decided
// yet what follows: another one would escape the count of retries.
func (a Attempt) Unsettled() bool {
	return a.Number > 0 && a.End.Cause != "" && a.End.Cause != NoCapacity && !a.End.Counted
}

// AttemptEnd records why an attempt ended without a result.
type AttemptEnd struct {
	Cause    Cause
	ExitCode int
	Detail   string // the platform's own words; never the agent's output
	At       time.Time
	Counted  bool // settlement has counted it as an infrastructure retry
}

// Cause is why an attempt ended without a result.
type Cause string

// The causes. Each is the platform's, never an agent's own failure.
const (
	NoCapacity       Cause = "no_capacity"       // RunTask found none; consumes no infrastructure retry
	LaunchFailed     Cause = "launch_failed"     // RunTask refused for another reason
	ContainerStopped Cause = "container_stopped" // the container ended and stored no result
	LeaseExpired     Cause = "lease_expired"     // nobody claimed it, or the heartbeats ceased
)

// Result is what the worker reports at the end, stored once on the run.
type Result struct {
	State     State  `json:"state"` // succeeded, failed, timed_out or cancelled
	Reason    Reason `json:"reason,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Isolation string `json:"isolation,omitempty"` // the sandbox level that the agent ran under

	Patch     PatchStat   `json:"patch"`
	Usage     agent.Usage `json:"usage"`
	CostUSD   *float64    `json:"cost_usd,omitempty"` // nil when the model's price is unknown
	Verify    Verify      `json:"verify"`
	Artifacts []Artifact  `json:"artifacts"`
}

// PatchStat is the size of a patch.
type PatchStat struct {
	Files     int   `json:"files"`
	Additions int   `json:"additions"`
	Deletions int   `json:"deletions"`
	Bytes     int64 `json:"bytes"`
}

// Verify is what the verify command said of the patch on a fresh checkout.
type Verify struct {
	State    VerifyState `json:"state"`
	ExitCode int         `json:"exit_code"`
}

// VerifyState tells whether the patch was verified.
type VerifyState string

// The states of a verification.
const (
	VerifyNone    VerifyState = "none"    // the task has no verify command, or there is no patch
	VerifyPassed  VerifyState = "passed"  // exit 0
	VerifyFailed  VerifyState = "failed"  // another exit code
	VerifyTimeout VerifyState = "timeout" // the deadline came first
)

// Artifact is a stored output of a run.
type Artifact struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // hex
}

// The names of artifacts.
const (
	ArtifactPatch      = "patch.diff"
	ArtifactLog        = "agent.log"
	ArtifactTranscript = "transcript.jsonl"
	ArtifactSummary    = "summary.md"
	ArtifactVerifyLog  = "verify.log"
)

// MaxPatch is the largest patch that is kept, in bytes. A larger one fails the
// run with patch_too_large.
const MaxPatch = 20 << 20

// MaxLog is where an agent's log, transcript or verify log is cut, in bytes.
const MaxLog = 16 << 20
