package stepfunctions_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"

	"outpost/infra/local/asl"
	"outpost/infra/local/sdktest"
	"outpost/infra/local/stepfunctions"
	"outpost/shared/clock"
	"outpost/shared/workflow"
)

const machine = "arn:aws:states:us-east-1:000000000000:stateMachine:run"

// functions stands for Launch and Settle: it hands out the tokens it was given.
type functions struct {
	tokens chan string
	mu     sync.Mutex
	settle int
}

func (f *functions) Invoke(_ context.Context, function string, payload []byte) ([]byte, error) {
	if strings.Contains(function, "Settle") {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.settle++
		return []byte(`{"next":"done","wait_seconds":0}`), nil
	}
	var in struct {
		Token string `json:"task_token"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	f.tokens <- in.Token
	return []byte("null"), nil
}

// open opens the service on a folder; the returned function is its crash.
func open(t *testing.T, dir string, f *functions) (*sfn.Client, func()) {
	t.Helper()
	m, err := asl.Load([]byte(workflow.Definition))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := stepfunctions.Open(ctx, machine, m, dir, clock.System, f)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { cancel(); s.Close() }
	t.Cleanup(stop)
	return sfn.NewFromConfig(sdktest.Config(t, s.Handler())), stop
}

func start(t *testing.T, c *sfn.Client, in workflow.Input) error {
	t.Helper()
	return workflow.NewClient(c, machine).Start(t.Context(), in)
}

// ended waits until the execution has.
func ended(t *testing.T, c *sfn.Client, in workflow.Input) {
	t.Helper()
	client := workflow.NewClient(c, machine)
	for deadline := time.Now().Add(time.Minute); ; {
		status, err := client.Describe(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if status == workflow.Closed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the execution is %s", status)
		}
	}
}

var in = workflow.Input{Tenant: "ten_a", Run: "run_b", Start: 1}

func TestAnExecutionWaitsForItsToken(t *testing.T) {
	f := &functions{tokens: make(chan string, 9)}
	c, _ := open(t, t.TempDir(), f)
	if err := start(t, c, in); err != nil {
		t.Fatal(err)
	}
	token := <-f.tokens
	if err := start(t, c, in); err != nil {
		t.Errorf("the same start again: %v", err)
	}
	client := workflow.NewClient(c, machine)
	if err := client.Answer(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	ended(t, c, in)
	if err := client.Answer(t.Context(), token); err != nil {
		t.Errorf("an answer that comes late is no error to us: %v", err)
	}
	output := "{}"
	var late *types.TaskTimedOut
	if _, err := c.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); !errors.As(err, &late) {
		t.Errorf("a late answer gets %v", err)
	}
	if status, err := client.Describe(t.Context(), workflow.Input{Run: "run_c", Start: 1}); err != nil || status != workflow.Missing {
		t.Errorf("an execution that never was is %s, %v", status, err)
	}
}

func TestAWaitingExecutionOutlivesACrash(t *testing.T) {
	dir, f := t.TempDir(), &functions{tokens: make(chan string, 9)}
	c, crash := open(t, dir, f)
	if err := start(t, c, in); err != nil {
		t.Fatal(err)
	}
	token := <-f.tokens
	client := workflow.NewClient(c, machine)
	if status, err := client.Describe(t.Context(), in); err != nil || status != workflow.Open {
		t.Fatalf("before the crash: %s, %v", status, err)
	}
	crash()
	c, crash = open(t, dir, f)
	// The launch may have been in flight; then it is invoked once more, with
	// the token that it had.
	if err := workflow.NewClient(c, machine).Answer(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	ended(t, c, in)
	crash()
	c, _ = open(t, dir, f)
	ended(t, c, in)
	if f.settle != 1 {
		t.Errorf("settled %d times", f.settle)
	}
}

func TestAnUnknownCallIsNamed(t *testing.T) {
	c, _ := open(t, t.TempDir(), &functions{})
	_, err := c.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	var api smithy.APIError
	if !errors.As(err, &api) || !strings.Contains(api.ErrorMessage(), "ListStateMachines") {
		t.Errorf("got %v", err)
	}
}
