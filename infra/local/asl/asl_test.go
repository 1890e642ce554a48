package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/asl"
	"outpost/shared/clock"
	"outpost/shared/workflow"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// host scripts a machine's surroundings: its clock jumps over every wait.
type host struct {
	now     time.Time
	waited  time.Duration
	tokens  int
	invoke  func(function string, payload map[string]any) (any, error)
	answers []*asl.Answer // nil: nobody answers
	saved   []string
}

func (h *host) Now() time.Time { return h.now }
func (h *host) After(d time.Duration) <-chan time.Time {
	h.waited += max(d, 0)
	h.now = h.now.Add(max(d, 0))
	c := make(chan time.Time, 1)
	c <- h.now
	return c
}
func (h *host) Invoke(_ context.Context, function string, payload []byte) ([]byte, error) {
	var in map[string]any
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	out, err := h.invoke(function, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
func (h *host) Save(ex *asl.Execution) error {
	b, err := json.Marshal(ex)
	h.saved = append(h.saved, string(b))
	return err
}
func (h *host) Await(_ context.Context, _ *asl.Execution, deadline time.Time) (*asl.Answer, error) {
	if len(h.answers) == 0 {
		return nil, nil
	}
	a := h.answers[0]
	h.answers = h.answers[1:]
	if a == nil {
		h.now = deadline
	}
	return a, nil
}
func (h *host) NewToken(*asl.Execution) string { h.tokens++; return fmt.Sprint("token-", h.tokens) }

var _ clock.Clock = (*host)(nil)

func load(t testing.TB, definition string) *asl.Machine {
	t.Helper()
	m, err := asl.Load([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t *testing.T, definition string, input string, h *host) *asl.Execution {
	t.Helper()
	m := load(t, definition)
	h.now = start
	ex, err := m.Start("x", input, start)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(context.Background(), ex, h); err != nil {
		t.Fatal(err)
	}
	return ex
}

const input = `{"tenant":"ten_a","run":"run_b","start":1}`

func TestTheRunsMachineGoesRoundUntilSettleSaysDone(t *testing.T) {
	next := []string{"again", "wait", "done"}
	var tokens []any
	h := &host{answers: []*asl.Answer{{Output: json.RawMessage(`{}`)}, {Output: json.RawMessage(`{}`)}, {Output: json.RawMessage(`{}`)}}}
	h.invoke = func(function string, in map[string]any) (any, error) {
		if in["tenant"] != "ten_a" || in["run"] != "run_b" || in["start"] != 1.0 {
			t.Errorf("%s got %v", function, in)
		}
		if strings.Contains(function, "Launch") {
			tokens = append(tokens, in["task_token"])
			return nil, nil
		}
		n := next[0]
		next = next[1:]
		return map[string]any{"next": n, "wait_seconds": 30}, nil
	}
	ex := run(t, workflow.Definition, input, h)
	if ex.Status != asl.Succeeded || len(tokens) != 3 || tokens[0] == tokens[1] || h.waited != 30*time.Second {
		t.Errorf("%s after %d launches and %s: %s", ex.Status, len(tokens), h.waited, ex.Cause)
	}
}

func TestALaunchThatNobodyAnswersIsSettled(t *testing.T) {
	settled := 0
	h := &host{answers: []*asl.Answer{nil}}
	h.invoke = func(function string, _ map[string]any) (any, error) {
		if strings.Contains(function, "Settle") {
			settled++
			return map[string]any{"next": "done", "wait_seconds": 0}, nil
		}
		return nil, nil
	}
	if ex := run(t, workflow.Definition, input, h); ex.Status != asl.Succeeded || settled != 1 {
		t.Errorf("%s, settled %d times", ex.Status, settled)
	}
}

func TestALaunchThatDiesIsRetriedWithANewTokenAndThenSettled(t *testing.T) {
	var tokens []any
	h := &host{}
	h.invoke = func(function string, in map[string]any) (any, error) {
		if strings.Contains(function, "Settle") {
			return map[string]any{"next": "done", "wait_seconds": 0}, nil
		}
		tokens = append(tokens, in["task_token"])
		return nil, &asl.TaskError{Name: "Runtime.ExitError", Cause: "killed"}
	}
	ex := run(t, workflow.Definition, input, h)
	if ex.Status != asl.Succeeded || len(tokens) < 3 || tokens[0] == tokens[1] {
		t.Errorf("%s after the tokens %v", ex.Status, tokens)
	}
}

func TestAnUnknownDecisionFailsTheExecution(t *testing.T) {
	h := &host{answers: []*asl.Answer{{Output: json.RawMessage(`{}`)}}}
	h.invoke = func(string, map[string]any) (any, error) {
		return map[string]any{"next": "dance", "wait_seconds": 0}, nil
	}
	if ex := run(t, workflow.Definition, input, h); ex.Status != asl.Failed || ex.Error != "UnknownDecision" {
		t.Errorf("%s %s", ex.Status, ex.Error)
	}
}

// Wherever the process dies, a saved execution goes on to the same end.
func TestAnExecutionGoesOnFromEverySave(t *testing.T) {
	fresh := func() *host {
		h := &host{now: start}
		h.invoke = func(function string, _ map[string]any) (any, error) {
			return map[string]any{"next": "done", "wait_seconds": 0}, nil
		}
		return h
	}
	h := fresh()
	h.answers = []*asl.Answer{{Output: json.RawMessage(`{}`)}}
	run(t, workflow.Definition, input, h)
	m := load(t, workflow.Definition)
	for i, saved := range h.saved {
		ex := &asl.Execution{}
		if err := json.Unmarshal([]byte(saved), ex); err != nil {
			t.Fatal(err)
		}
		again := fresh()
		again.answers = []*asl.Answer{{Output: json.RawMessage(`{}`)}}
		if err := m.Run(context.Background(), ex, again); err != nil || ex.Status != asl.Succeeded {
			t.Errorf("from save %d (%s): %s, %v", i, ex.State, ex.Status, err)
		}
	}
}

func TestRetryCountsByRetrierAndBacksOff(t *testing.T) {
	const definition = `{"StartAt":"A","States":{
	  "A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},"Next":"Done",
	    "Retry":[{"ErrorEquals":["Slow"],"IntervalSeconds":2,"MaxAttempts":2,"BackoffRate":3},{"ErrorEquals":["States.TaskFailed"],"IntervalSeconds":1,"MaxAttempts":1}],
	    "Catch":[{"ErrorEquals":["Slow"],"ResultPath":"$.error","Next":"Caught"}]},
	  "Caught":{"Type":"Fail","Error":"Caught"},"Done":{"Type":"Succeed"}}}`
	for _, c := range []struct {
		why    string
		errors []string
		status asl.Status
		name   string
		waited time.Duration
	}{
		{"two retries of Slow, 2 s and 6 s, then Catch", []string{"Slow", "Slow", "Slow"}, asl.Failed, "Caught", 8 * time.Second},
		{"retriers count apart", []string{"Slow", "Other", "Slow"}, asl.Succeeded, "", 9 * time.Second},
		{"nobody catches Other", []string{"Other", "Other"}, asl.Failed, "Other", time.Second},
		{"no failure, no wait", nil, asl.Succeeded, "", 0},
	} {
		left := c.errors
		h := &host{invoke: func(string, map[string]any) (any, error) {
			if len(left) == 0 {
				return nil, nil
			}
			name := left[0]
			left = left[1:]
			return nil, &asl.TaskError{Name: name}
		}}
		ex := run(t, definition, `{}`, h)
		if ex.Status != c.status || ex.Error != c.name || h.waited != c.waited {
			t.Errorf("%s: %s %s after %s", c.why, ex.Status, ex.Error, h.waited)
		}
	}
}

func TestDefinitionsThatDoNotLoad(t *testing.T) {
	task := func(more string) string {
		return `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},"Next":"B"` + more + `},"B":{"Type":"Succeed"}}}`
	}
	if _, err := asl.Load([]byte(task(""))); err != nil {
		t.Fatal(err)
	}
	choice := func(branch string) string {
		return `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[` + branch + `],"Default":"B"},"B":{"Type":"Succeed"}}}`
	}
	if _, err := asl.Load([]byte(choice(`{"Variable":"$.a","StringEquals":"x","Next":"B"}`))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ definition, why string }{
		{`{`, "no JSON"},
		{`{"StartAt":"A","States":{"A":{"Type":"Map","Next":"A"}}}`, "a state type that does not run here"},
		{task(`,"HeartbeatSeconds":5`), "a field that nobody would obey"},
		{task(`,"InputPath":"$.a"`), "a path that nobody would obey"},
		{task(`,"SecondsPath":"$.a"`), "a field of another type"},
		{task(`,"ResultPath":null`), "null, which would discard the result"},
		{task(`,"ResultPath":"$.a[0]"`), "a ResultPath that is not read here"},
		{task(`,"resultSelector":{"a":1}`), "a field in another case"},
		{task(`,"TimeoutSeconds":9`), "a timeout of an invocation, which the function's own bounds"},
		{strings.Replace(task(`,"TimeoutSeconds":0`), "invoke\"", "invoke.waitForTaskToken\"", 1), "a timeout of nothing"},
		{strings.Replace(task(`,"TimeoutSeconds":-1`), "invoke\"", "invoke.waitForTaskToken\"", 1), "a negative timeout"},
		{task(`,"Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["A"]}]`), "States.ALL before another retrier"},
		{task(`,"Retry":[{"ErrorEquals":["States.ALL","A"]}]`), "States.ALL beside another name"},
		{task(`,"Retry":[{"ErrorEquals":["A"],"BackoffRate":0.5}]`), "a backoff that shrinks"},
		{task(`,"Retry":[{"ErrorEquals":["A"],"MaxAttempts":-1}]`), "a negative number of retries"},
		{task(`,"Retry":[{"ErrorEquals":["A"],"JitterStrategy":"SOME"}]`), "a jitter that does not exist"},
		{task(`,"Retry":[{"MaxAttempts":1}]`), "a retrier of no error"},
		{task(`,"Catch":[{"ErrorEquals":["A"]}]`), "a catcher that leads nowhere"},
		{task(`,"Catch":[{"ErrorEquals":["A"],"Next":"B","ResultPath":"a"}]`), "a catcher's path that is none"},
		{choice(`{"Variable":"$.a","StringEquals":"x"}`), "a branch that leads nowhere"},
		{choice(`{"Variable":"$.a","Next":"B"}`), "a branch without a comparison"},
		{choice(`{"Variable":"$.a","NumericEquals":1,"Next":"B"}`), "a comparison that is not made here"},
		{choice(`{"Variable":"a","StringEquals":"x","Next":"B"}`), "a variable that is no path"},
		{`{"StartAt":"A","States":{"A":{"Type":"Wait","Next":"B"},"B":{"Type":"Succeed"}}}`, "a wait for no time"},
		{`{"StartAt":"A","States":{"A":{"Type":"Succeed"},"B":{"Type":"Succeed"}}}`, "an unreachable state"},
		{`{"StartAt":"X","States":{"A":{"Type":"Succeed"}}}`, "StartAt that does not exist"},
		{strings.Replace(task(""), `"Next":"B"`, `"Next":"C"`, 1), "Next that does not exist"},
		{strings.Replace(task(""), "lambda:invoke", "sqs:sendMessage", 1), "a resource that does not run here"},
		{strings.Replace(task(""), `"FunctionName":"f"`, `"FunctionName":"f","InvocationType":"Event"`, 1), "a parameter that is not sent"},
		{strings.Replace(task(""), `"FunctionName":"f"`, `"FunctionName":"f","Payload":{"a.$":"$.b[0]"}`, 1), "a path that is not read here"},
		{strings.Replace(task(""), `"FunctionName":"f"`, `"FunctionName":"f","Payload":{"a.$":"$$.Execution.Role"}`, 1), "a context path that is not read here"},
		{task(`,"ResultSelector":{"a.$":"$$.Task.Token"}`), "the context in a ResultSelector"},
	} {
		if _, err := asl.Load([]byte(c.definition)); err == nil {
			t.Errorf("loaded: %s", c.why)
		}
	}
}
