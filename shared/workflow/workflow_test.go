package workflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"outpost/infra/local/asl"
	"outpost/infra/local/sdktest"
	"outpost/infra/local/stepfunctions"
	"outpost/shared/clock"
	"outpost/shared/plan"
	"outpost/shared/task"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

const machineARN = "arn:aws:states:us-east-1:000000000000:stateMachine:run"

// machine is the definition with functions' names in place of their ARNs. It
// does not load with a state that is missing or that nothing leads to.
func machine(t *testing.T) *asl.Machine {
	t.Helper()
	definition := workflow.Definition
	for placeholder, function := range workflow.Placeholders {
		if !strings.Contains(definition, "${"+placeholder+"}") {
			t.Errorf("the definition does not use %s", placeholder)
		}
		if _, ok := topology.FunctionByName(function); !ok {
			t.Errorf("%s stands for %s, which does not exist", placeholder, function)
		}
		definition = strings.ReplaceAll(definition, "${"+placeholder+"}", function)
	}
	if strings.Contains(definition, "${") {
		t.Error("the definition holds a placeholder that nobody fills")
	}
	m, err := asl.Load([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheBackstopIsLongerThanAnyRun(t *testing.T) {
	timing, longest := task.DefaultTiming, time.Duration(0)
	for _, p := range plan.All() {
		longest = max(longest, p.MaxTimeout)
	}
	longest += timing.ClaimLease + timing.UploadGrace + timing.HeartbeatLease + 2*time.Minute // the reaper's round
	backstop := time.Duration(machine(t).States["Launch"].TimeoutSeconds) * time.Second
	if backstop <= longest {
		t.Errorf("the backstop of %s ends a run that may last %s", backstop, longest)
	}
}

// local is the local Step Functions over the real definition; the test plays
// both functions.
type local struct {
	*workflow.Client
	clock *clock.Manual
	in    workflow.Input

	mu     sync.Mutex
	calls  []string
	tokens []string
	input  map[string]any // of the last call
	answer func(call int, function string) (string, error)
}

func newLocal(t *testing.T, answer func(call int, function string) (string, error)) *local {
	l := &local{clock: clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)), answer: answer,
		in: workflow.Input{Tenant: "ten_01KAR5G5M0000000000000000A", Run: "run_01KAR5G5M0000000000000000B_01", Start: 1}}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := stepfunctions.Open(ctx, machineARN, machine(t), t.TempDir(), l.clock, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	l.Client = workflow.NewClient(sfn.NewFromConfig(sdktest.Config(t, s.Handler())), machineARN)
	return l
}

// Invoke is the call of a function.
func (l *local) Invoke(_ context.Context, function string, payload []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.input = map[string]any{}
	if err := json.Unmarshal(payload, &l.input); err != nil {
		return nil, err
	}
	if token, ok := l.input["task_token"].(string); ok {
		l.tokens = append(l.tokens, token)
	}
	l.calls = append(l.calls, function)
	answer, err := l.answer(len(l.calls), function)
	return []byte(answer), err
}

func (l *local) seen() (calls, tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls), slices.Clone(l.tokens)
}

// until waits for a condition, and moves the clock whenever the execution waits
// for it.
func (l *local) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			calls, _ := l.seen()
			t.Fatalf("never happened: %s; calls: %v", what, calls)
		}
		l.clock.Advance(100 * time.Millisecond)
		<-clock.System.After(time.Millisecond)
	}
}

func (l *local) status(t *testing.T) workflow.Status {
	t.Helper()
	s, err := l.Describe(context.Background(), l.in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	launch = "workflow/launch"
	settle = "workflow/settle"
)

func TestAnExecutionStartsOnceWaitsForItsAnswerAndCloses(t *testing.T) {
	ctx := context.Background()
	l := newLocal(t, func(int, string) (string, error) { return `{"next":"done","wait_seconds":0}`, nil })
	if s := l.status(t); s != workflow.Missing {
		t.Errorf("before its start it is %s", s)
	}
	for range 2 { // a repeat while it runs is success
		if err := l.Start(ctx, l.in); err != nil {
			t.Fatal(err)
		}
	}
	l.until(t, "Launch is invoked", func() bool { _, tokens := l.seen(); return len(tokens) == 1 })
	if l.input["tenant"] != l.in.Tenant || l.input["run"] != l.in.Run || l.input["start"] != 1.0 {
		t.Errorf("Launch's input: %v", l.input)
	}
	if s := l.status(t); s != workflow.Open {
		t.Errorf("while it waits it is %s", s)
	}
	_, tokens := l.seen()
	if err := l.Answer(ctx, tokens[0]); err != nil {
		t.Fatal(err)
	}
	l.until(t, "it closes", func() bool { return l.status(t) == workflow.Closed })
	if calls, _ := l.seen(); !slices.Equal(calls, []string{launch, settle}) {
		t.Errorf("calls: %v", calls)
	}
	if err := l.Start(ctx, l.in); err == nil || !strings.Contains(err.Error(), workflow.ErrClosed.Error()) {
		t.Errorf("started again after its end: %v", err)
	}
	for _, token := range []string{"", "unknown", tokens[0]} {
		if err := l.Answer(ctx, token); err != nil {
			t.Errorf("answering a token that nobody waits for: %v", err)
		}
	}
}

func TestLaunchIsRepeatedUnderAFreshTokenWhenTheFunctionFails(t *testing.T) {
	l := newLocal(t, func(call int, function string) (string, error) {
		if call < 3 {
			return "", &asl.TaskError{Name: "wrapError", Cause: "the table did not answer"}
		}
		return `{"next":"done","wait_seconds":0}`, nil
	})
	if err := l.Start(context.Background(), l.in); err != nil {
		t.Fatal(err)
	}
	l.until(t, "Launch is invoked three times", func() bool { _, tokens := l.seen(); return len(tokens) == 3 })
	_, tokens := l.seen()
	if tokens[0] == tokens[1] || tokens[1] == tokens[2] {
		t.Errorf("tokens: %v", tokens)
	}
}

func TestALaunchThatKeepsFailingIsSettled(t *testing.T) {
	l := newLocal(t, func(_ int, function string) (string, error) {
		if function == launch {
			return "", fmt.Errorf("broken")
		}
		return `{"next":"done","wait_seconds":0}`, nil
	})
	if err := l.Start(context.Background(), l.in); err != nil {
		t.Fatal(err)
	}
	l.until(t, "it closes", func() bool { return l.status(t) == workflow.Closed })
	if calls, _ := l.seen(); calls[len(calls)-1] != settle || len(calls) != 8 {
		t.Errorf("calls: %v", calls)
	}
}

func TestSettleSendsTheRunRoundAgainAtOnceOrAfterAPause(t *testing.T) {
	answers := []string{`{"next":"again","wait_seconds":0}`, `{"next":"wait","wait_seconds":30}`, `{"next":"done","wait_seconds":0}`}
	l := newLocal(t, nil)
	l.answer = func(_ int, function string) (string, error) {
		if function == launch {
			return "null", nil
		}
		next := answers[0]
		answers = answers[1:]
		return next, nil
	}
	if err := l.Start(context.Background(), l.in); err != nil {
		t.Fatal(err)
	}
	var paused time.Time
	for n := range 3 {
		l.until(t, "Launch waits", func() bool { _, tokens := l.seen(); return len(tokens) == n+1 })
		if n == 2 && l.clock.Now().Sub(paused) < 30*time.Second {
			t.Errorf("the pause was %s", l.clock.Now().Sub(paused))
		}
		paused = l.clock.Now()
		_, tokens := l.seen()
		if err := l.Answer(context.Background(), tokens[n]); err != nil {
			t.Fatal(err)
		}
	}
	l.until(t, "it closes", func() bool { return l.status(t) == workflow.Closed })
	if calls, _ := l.seen(); !slices.Equal(calls, []string{launch, settle, launch, settle, launch, settle}) {
		t.Errorf("calls: %v", calls)
	}
}
