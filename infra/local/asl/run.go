package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"outpost/shared/clock"
)

// MaxData bounds an execution's input and a state's output, in bytes, as Amazon
// does.
const MaxData = 256 << 10

// maxSeconds bounds a wait, as Amazon does: some three years.
const maxSeconds = 99_999_999

// Status of an execution.
type Status string

// The statuses.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
)

// Execution is one run through a machine. It is plain data that its host keeps:
// a saved execution goes on where it was saved.
type Execution struct {
	Name      string
	Input     string // as it came: a repeated start must have the same
	StartedAt time.Time
	StoppedAt time.Time
	Status    Status
	Error     string
	Cause     string

	State       string
	Data        any       // the state's input
	Retries     []int     // by retrier of the state
	WakeAt      time.Time // end of a Wait, or of the pause before a retry
	Token       string    // of the current try of a Task
	Deadline    time.Time // of the current try of a Task
	Invoked     bool      // the function returned; only the token's answer is missing
	Answer      *Answer   // what the token's holder said
	Transitions int       // states entered, retries included
}

// Answer is what SendTaskSuccess or SendTaskFailure brought.
type Answer struct {
	Output json.RawMessage
	Error  string
	Cause  string
}

// TaskError is the failure of a task: a name that Retry and Catch match, and
// words for people.
type TaskError struct{ Name, Cause string }

func (e *TaskError) Error() string { return e.Name + ": " + e.Cause }

// Host is what an execution needs to run.
type Host interface {
	clock.Clock
	// Invoke calls a function. A *TaskError names the failure; any other error
	// is Lambda.Unknown.
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
	// Save stores the execution before anything that depends on it happens.
	Save(*Execution) error
	// Await waits for the answer to the execution's token until the deadline,
	// for ever when that is zero. When it returns nil, at the deadline, no
	// answer to that token is accepted any more.
	Await(ctx context.Context, ex *Execution, deadline time.Time) (*Answer, error)
	// NewToken returns a fresh task token for the execution.
	NewToken(ex *Execution) string
}

// Start returns a new execution at the machine's first state.
func (m *Machine) Start(name, input string, now time.Time) (*Execution, error) {
	var data any
	if err := json.Unmarshal([]byte(input), &data); err != nil {
		return nil, fmt.Errorf("the input is not JSON: %w", err)
	}
	ex := &Execution{Name: name, Input: input, StartedAt: now, Status: Running}
	ex.enter(m.StartAt, data)
	return ex, nil
}

// Run drives the execution until it ends, the context does, or it cannot be
// saved. It may be called again on the execution, or on what was saved of it; a
// function that was being invoked is then invoked once more with the same
// token, as Amazon may do too.
func (m *Machine) Run(ctx context.Context, ex *Execution, host Host) error {
	for ex.Status == Running {
		if err := host.Save(ex); err != nil {
			return err
		}
		if err := m.step(ctx, ex, host); err != nil {
			return err
		}
	}
	return host.Save(ex)
}

func (m *Machine) step(ctx context.Context, ex *Execution, host Host) error {
	s := m.States[ex.State]
	switch s.Type {
	case "Succeed":
		ex.end(Succeeded, "", "", host.Now())
	case "Fail":
		ex.end(Failed, s.Error, s.Cause, host.Now())
	case "Choice":
		next, err := s.choose(ex.Data)
		if err != nil {
			ex.end(Failed, "States.Runtime", err.Error(), host.Now())
			return nil
		}
		ex.enter(next, ex.Data)
	case "Wait":
		if ex.WakeAt.IsZero() {
			seconds, err := lookup(ex.Data, s.SecondsPath)
			n, ok := seconds.(float64)
			if err != nil || !ok || n < 0 || n > maxSeconds || n != math.Trunc(n) {
				ex.end(Failed, "States.Runtime", "SecondsPath names no whole number of seconds in range", host.Now())
				return nil
			}
			ex.WakeAt = host.Now().Add(time.Duration(n * float64(time.Second)))
			return nil
		}
		if err := until(ctx, host, ex.WakeAt); err != nil {
			return err
		}
		ex.enter(s.Next, ex.Data)
	case "Task":
		return m.task(ctx, ex, s, host)
	}
	return nil
}

// task makes one step of a Task: the pause before a retry, a new token, an
// invocation, or the wait for the token's answer.
func (m *Machine) task(ctx context.Context, ex *Execution, s *State, host Host) error {
	switch {
	case !ex.WakeAt.IsZero():
		if err := until(ctx, host, ex.WakeAt); err != nil {
			return err
		}
		ex.WakeAt = time.Time{}
		return nil
	case ex.Token == "":
		ex.Token = host.NewToken(ex)
		if s.TimeoutSeconds > 0 {
			ex.Deadline = host.Now().Add(time.Duration(s.TimeoutSeconds) * time.Second)
		}
		return nil
	}
	var result any
	var failure *TaskError
	if !ex.Invoked && ex.Answer == nil {
		result, failure = s.invoke(ctx, ex, host)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failure == nil && s.Resource == InvokeAndWaitToken {
			ex.Invoked = true
			return nil
		}
	}
	if s.Resource == InvokeAndWaitToken {
		deadline := ex.Deadline
		if failure != nil {
			deadline = host.Now() // an answer that came before the function failed counts
		}
		answer, err := host.Await(ctx, ex, deadline)
		if err != nil {
			return err
		}
		if answer != nil || failure == nil {
			result, failure = answer.result()
		}
	}
	if failure == nil {
		result, failure = s.output(ex.Data, result)
	}
	if failure != nil {
		s.failed(ex, failure, host)
		return nil
	}
	ex.enter(s.Next, result)
	return nil
}

// invoke calls the function and returns the Task's raw result.
func (s *State) invoke(ctx context.Context, ex *Execution, host Host) (any, *TaskError) {
	function, body, failure := s.request(ex)
	if failure != nil {
		return nil, failure
	}
	answer, err := host.Invoke(ctx, function, body)
	if err != nil {
		if !errors.As(err, &failure) {
			failure = &TaskError{"Lambda.Unknown", err.Error()}
		}
		return nil, failure
	}
	var payload any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &payload); err != nil {
			return nil, &TaskError{"States.Runtime", "the function's answer is not JSON"}
		}
	}
	return map[string]any{"Payload": payload, "StatusCode": float64(200), "ExecutedVersion": "$LATEST"}, nil
}

// result is what an answer says; none came in time when it is nil.
func (a *Answer) result() (any, *TaskError) {
	if a == nil {
		return nil, &TaskError{"States.Timeout", "nobody answered the task's token in time"}
	}
	if a.Error != "" {
		return nil, &TaskError{a.Error, a.Cause}
	}
	var out any
	if err := json.Unmarshal(a.Output, &out); err != nil {
		return nil, &TaskError{"States.Runtime", "the output is not JSON"}
	}
	return out, nil
}

func (s *State) request(ex *Execution) (function string, payload []byte, failure *TaskError) {
	retries := 0
	for _, n := range ex.Retries {
		retries += n
	}
	context := map[string]any{
		"Execution": map[string]any{"Name": ex.Name},
		"State":     map[string]any{"Name": ex.State, "RetryCount": retries},
		"Task":      map[string]any{"Token": ex.Token},
	}
	filled, err := fill(any(s.Parameters), ex.Data, context)
	if err != nil {
		return "", nil, &TaskError{"States.ParameterPathFailure", err.Error()}
	}
	params := filled.(map[string]any)
	payload, err = json.Marshal(params["Payload"])
	if err != nil {
		return "", nil, &TaskError{"States.Runtime", err.Error()}
	}
	if len(payload) > MaxData {
		return "", nil, &TaskError{"States.DataLimitExceeded", "the payload is larger than 256 KiB"}
	}
	return params["FunctionName"].(string), payload, nil
}

func (s *State) output(input, result any) (any, *TaskError) {
	if s.ResultSelector != nil {
		selected, err := fill(any(s.ResultSelector), result, nil)
		if err != nil {
			return nil, &TaskError{"States.ParameterPathFailure", err.Error()}
		}
		result = selected
	}
	out, err := place(input, s.ResultPath, result)
	if err != nil {
		return nil, &TaskError{"States.ResultPathMatchFailure", err.Error()}
	}
	if size, _ := json.Marshal(out); len(size) > MaxData {
		return nil, &TaskError{"States.DataLimitExceeded", "the output is larger than 256 KiB"}
	}
	return out, nil
}

// failed applies Retry, then Catch; without either the execution fails.
func (s *State) failed(ex *Execution, failure *TaskError, host Host) {
	retries := slices.Clone(ex.Retries) // what was saved keeps its own
	if retries == nil {
		retries = make([]int, len(s.Retry))
	}
	for i, r := range s.Retry {
		if !matches(r.ErrorEquals, failure.Name) {
			continue
		}
		if retries[i] < r.maxAttempts() {
			wake := host.Now().Add(r.delay(retries[i]))
			retries[i]++
			ex.enter(ex.State, ex.Data)
			ex.Retries, ex.WakeAt = retries, wake
			return
		}
		break // the first retrier that matches decides
	}
	for _, c := range s.Catch {
		if !matches(c.ErrorEquals, failure.Name) {
			continue
		}
		out, err := place(ex.Data, c.ResultPath, map[string]any{"Error": failure.Name, "Cause": failure.Cause})
		if err != nil {
			break
		}
		ex.enter(c.Next, out)
		return
	}
	ex.end(Failed, failure.Name, failure.Cause, host.Now())
}

// choose returns the state that a Choice goes on to. A variable that does not
// exist is an error, one that is no string only a branch not taken.
func (s *State) choose(data any) (string, error) {
	for _, b := range s.Choices {
		v, err := lookup(data, b.Variable)
		if err != nil {
			return "", err
		}
		if text, ok := v.(string); ok && text == b.StringEquals {
			return b.Next, nil
		}
	}
	return s.Default, nil
}

func (r Retrier) maxAttempts() int {
	if r.MaxAttempts == nil {
		return 3
	}
	return *r.MaxAttempts
}

// delay is the pause before retry number n, counted from 0.
func (r Retrier) delay(n int) time.Duration {
	interval, rate := r.IntervalSeconds, r.BackoffRate
	if interval == 0 {
		interval = 1
	}
	if rate == 0 {
		rate = 2
	}
	seconds := interval * math.Pow(rate, float64(n))
	if seconds = min(seconds, maxSeconds); r.MaxDelaySeconds > 0 {
		seconds = min(seconds, r.MaxDelaySeconds)
	}
	if r.JitterStrategy == "FULL" {
		seconds *= rand.Float64()
	}
	return time.Duration(seconds * float64(time.Second))
}

// matches tells whether a list of error names covers one. Nothing covers
// States.Runtime; only its own name covers States.DataLimitExceeded. Else
// States.ALL covers everything, States.TaskFailed all but States.Timeout.
func matches(names []string, name string) bool {
	switch {
	case name == "States.Runtime":
		return false
	case slices.Contains(names, name):
		return true
	case name == "States.DataLimitExceeded":
		return false
	default:
		return slices.Contains(names, "States.ALL") || (slices.Contains(names, "States.TaskFailed") && name != "States.Timeout")
	}
}

func (ex *Execution) enter(state string, data any) {
	ex.State, ex.Data = state, data
	ex.Retries, ex.WakeAt, ex.Deadline = nil, time.Time{}, time.Time{}
	ex.Token, ex.Invoked, ex.Answer = "", false, nil
	ex.Transitions++
}

func (ex *Execution) end(s Status, name, cause string, now time.Time) {
	ex.Status, ex.Error, ex.Cause, ex.StoppedAt = s, name, cause, now
	ex.Token, ex.Answer = "", nil
}

func until(ctx context.Context, c clock.Clock, at time.Time) error {
	select {
	case <-c.After(at.Sub(c.Now())):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
