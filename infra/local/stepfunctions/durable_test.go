package stepfunctions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"outpost/infra/local/asl"
	"outpost/infra/local/sdktest"
	"outpost/infra/local/stepfunctions"
	"outpost/shared/clock"
)

// timed is a machine whose every wait shows: a token for a minute, a pause of
// an hour, a token again.
const timed = `{"StartAt":"First","States":{
  "First":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"task_token.$":"$$.Task.Token"}},
    "TimeoutSeconds":60,"ResultPath":"$.first","Catch":[{"ErrorEquals":["States.Timeout"],"ResultPath":"$.late","Next":"Pause"},{"ErrorEquals":["Refused"],"ResultPath":"$.late","Next":"Refused"}],"Next":"Pause"},
  "Pause":{"Type":"Wait","SecondsPath":"$.pause","Next":"Done"},"Done":{"Type":"Succeed"},
  "Refused":{"Type":"Fail","Error":"Refused"}}}`

// world is a service over a folder, on a clock that the test moves.
type world struct {
	*sfn.Client
	dir    string
	clock  *clock.Manual
	tokens chan string
	crash  func()

	function function // in place of one that hands its token over
}

// function is what Launch does with its token, and what it returns.
type function func(ctx context.Context, token string) error

func (f function) Invoke(ctx context.Context, _ string, payload []byte) ([]byte, error) {
	var in struct {
		Token string `json:"task_token"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	return []byte("null"), f(ctx, in.Token)
}

func newWorld(t *testing.T) *world {
	w := &world{dir: filepath.Join(t.TempDir(), "executions"), clock: clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)), tokens: make(chan string, 99)}
	w.open(t)
	return w
}

func (w *world) open(t *testing.T) *stepfunctions.Service {
	t.Helper()
	m, err := asl.Load([]byte(timed))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var invoker stepfunctions.Invoker = &functions{tokens: w.tokens}
	if w.function != nil {
		invoker = w.function
	}
	s, err := stepfunctions.Open(ctx, machine, m, w.dir, w.clock, invoker)
	if err != nil {
		t.Fatal(err)
	}
	w.crash = func() { cancel(); s.Close() }
	t.Cleanup(w.crash)
	w.Client = sfn.NewFromConfig(sdktest.Config(t, s.Handler()))
	return s
}

func (w *world) start(t *testing.T, name, input string) error {
	arn := machine
	_, err := w.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &arn, Name: &name, Input: &input})
	return err
}

func (w *world) describe(t *testing.T, name string) *sfn.DescribeExecutionOutput {
	t.Helper()
	arn := strings.Replace(machine, ":stateMachine:", ":execution:", 1) + ":" + name
	out, err := w.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// until waits for a condition, however long the machine that runs the test
// takes.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		<-clock.System.After(time.Millisecond)
	}
}

// advance waits until the execution waits for the clock, and moves it.
func (w *world) advance(t *testing.T, d time.Duration) {
	t.Helper()
	until(t, "something waits for the clock", func() bool { return w.clock.Waiters() > 0 })
	w.clock.Advance(d)
}

func (w *world) state(name string) string {
	body, _ := os.ReadFile(filepath.Join(w.dir, name+".json"))
	_, rest, _ := strings.Cut(string(body), `"State":"`)
	state, _, _ := strings.Cut(rest, `"`)
	return state
}

func TestTimeoutAndWaitKeepTheirEndsOverACrash(t *testing.T) {
	w := newWorld(t)
	if err := w.start(t, "x", `{"pause":3600}`); err != nil {
		t.Fatal(err)
	}
	token := <-w.tokens
	w.advance(t, 59*time.Second)
	w.crash()
	w.open(t)
	until(t, "the token is waited for again", func() bool { return w.clock.Waiters() > 1 }) // one is the crashed service's
	if s := w.state("x"); s != "First" {
		t.Fatalf("before the timeout it is at %s", s)
	}
	w.advance(t, time.Second)
	until(t, "it times out", func() bool { return w.state("x") == "Pause" })
	output := "{}"
	var late *types.TaskTimedOut
	if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); !errors.As(err, &late) {
		t.Errorf("an answer after the timeout gets %v", err)
	}
	w.advance(t, 59*time.Minute)
	w.crash()
	w.open(t)
	if got := w.describe(t, "x"); got.Status != types.ExecutionStatusRunning {
		t.Fatalf("in its pause it is %s", got.Status)
	}
	w.advance(t, time.Minute)
	until(t, "it ends", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusSucceeded })
	if got := w.describe(t, "x"); !strings.Contains(*got.Output, "States.Timeout") || got.StopDate == nil {
		t.Errorf("its end: %+v", got)
	}
}

func TestAnAnswerThatWasAcceptedOutlivesACrash(t *testing.T) {
	w := newWorld(t)
	if err := w.start(t, "x", `{"pause":0}`); err != nil {
		t.Fatal(err)
	}
	token, name := <-w.tokens, "Refused"
	w.crash() // nobody drives the execution; the service itself still answers
	if _, err := w.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: &token, Error: &name}); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	until(t, "it ends", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusFailed })
	if got := w.describe(t, "x"); *got.Error != "Refused" || len(w.tokens) != 0 {
		t.Errorf("it ended with %s after %d more launches", *got.Error, len(w.tokens))
	}
}

func (w *world) answer(token string) error {
	output := `"mine"`
	_, err := w.SendTaskSuccess(context.Background(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output})
	return err
}

// A function may answer its own token before it returns, and die after that.
func TestAnAnswerWhileTheFunctionRunsCounts(t *testing.T) {
	for _, end := range []error{nil, &asl.TaskError{Name: "Runtime.ExitError"}} {
		w := newWorld(t)
		w.crash()
		w.function = func(_ context.Context, token string) error {
			if err := w.answer(token); err != nil {
				t.Error(err)
			}
			var late *types.TaskTimedOut
			if err := w.answer(token); !errors.As(err, &late) {
				t.Errorf("a second answer gets %v", err)
			}
			return end
		}
		w.open(t)
		if err := w.start(t, "x", `{"pause":0}`); err != nil {
			t.Fatal(err)
		}
		until(t, "it ends", func() bool { return w.describe(t, "x").Status != types.ExecutionStatusRunning })
		if got := w.describe(t, "x"); got.Output == nil || !strings.Contains(*got.Output, "mine") {
			t.Errorf("it ended %s", got.Status)
		}
	}
}

func TestAnAnswerBeforeACrashSparesTheSecondInvocation(t *testing.T) {
	w := newWorld(t)
	w.crash()
	w.function = func(ctx context.Context, token string) error {
		w.tokens <- token
		<-ctx.Done() // it has answered, but not returned, when Outpost dies
		return ctx.Err()
	}
	w.open(t)
	if err := w.start(t, "x", `{"pause":0}`); err != nil {
		t.Fatal(err)
	}
	if err := w.answer(<-w.tokens); err != nil {
		t.Fatal(err)
	}
	w.crash()
	w.open(t)
	until(t, "it ends", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusSucceeded })
	if len(w.tokens) != 0 {
		t.Error("the function was invoked again")
	}
}

func TestAFunctionThatFailsIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.crash()
	w.function = func(context.Context, string) error { return errors.New("the process died") }
	w.open(t)
	if err := w.start(t, "x", `{"pause":0}`); err != nil {
		t.Fatal(err)
	}
	until(t, "it fails though the clock stands still", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusFailed })
	if got := w.describe(t, "x"); *got.Error != "Lambda.Unknown" {
		t.Errorf("it failed with %s", *got.Error)
	}
}

// Whoever is told that an answer was accepted sees it win; of many answers, and
// of a timeout that comes at the same time, exactly one counts.
func TestOneOfManyAnswersCounts(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		name := fmt.Sprint("x", i)
		if err := w.start(t, name, `{"pause":0}`); err != nil {
			t.Fatal(err)
		}
		token := <-w.tokens
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted := []string{}
		for n := range 4 {
			wg.Go(func() {
				output := fmt.Sprintf(`"answer-%d"`, n)
				_, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output})
				var late *types.TaskTimedOut
				if err == nil {
					mu.Lock()
					accepted = append(accepted, output)
					mu.Unlock()
				} else if !errors.As(err, &late) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { w.clock.Advance(time.Minute) })
		wg.Wait()
		until(t, "it ends", func() bool {
			w.clock.Advance(time.Minute)
			return w.describe(t, name).Status == types.ExecutionStatusSucceeded
		})
		out := *w.describe(t, name).Output
		if len(accepted) > 1 || (len(accepted) == 1) == strings.Contains(out, "States.Timeout") || (len(accepted) == 1 && !strings.Contains(out, accepted[0])) {
			t.Fatalf("accepted %v, but it ended with %s", accepted, out)
		}
	}
}

func TestStartsAreIdempotentByNameAndInput(t *testing.T) {
	w := newWorld(t)
	spaced := `{ "pause" : 0, "text" : "<&>" }`
	var exists *types.ExecutionAlreadyExists
	for _, step := range []string{"at first", "after a crash"} {
		if err := w.start(t, "x", spaced); err != nil {
			t.Errorf("%s, the same start: %v", step, err)
		}
		if err := w.start(t, "x", `{"pause":0}`); !errors.As(err, &exists) {
			t.Errorf("%s, another input: %v", step, err)
		}
		w.crash()
		w.open(t)
	}
	if got := w.describe(t, "x"); *got.Input != spaced {
		t.Errorf("the input came back as %s", *got.Input)
	}
	token, output := <-w.tokens, "{}"
	if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); err != nil {
		t.Fatal(err)
	}
	until(t, "it ends", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusSucceeded })
	if err := w.start(t, "x", spaced); !errors.As(err, &exists) {
		t.Errorf("after its end: %v", err)
	}
	w.crash()
	w.clock.Advance(91 * 24 * time.Hour)
	w.open(t)
	if err := w.start(t, "x", spaced); err != nil {
		t.Errorf("after AWS has forgotten it: %v", err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ why, name, input string }{
		{"no name", "", "{}"}, {"a name that leaves the folder", "../x", "{}"}, {"too long a name", strings.Repeat("x", 81), "{}"},
		{"no JSON", "x", "{"}, {"too large an input", "x", `"` + strings.Repeat("x", asl.MaxData) + `"`},
	} {
		if err := w.start(t, c.name, c.input); err == nil {
			t.Errorf("%s: started", c.why)
		}
	}
	if err := w.start(t, "x", "{}"); err != nil {
		t.Fatal(err)
	}
	token, output := <-w.tokens, `"`+strings.Repeat("x", asl.MaxData)+`"`
	for _, bad := range []string{"", "{", output} {
		if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &bad}); err == nil {
			t.Errorf("an output of %d bytes is accepted", len(bad))
		}
	}
	var invalid *types.InvalidToken
	empty, fine := "", "{}"
	if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &empty, Output: &fine}); !errors.As(err, &invalid) {
		t.Errorf("an empty token gets %v", err)
	}
}

func TestAFullDiskHoldsAnExecutionUpAndNoMore(t *testing.T) {
	w := newWorld(t)
	if err := w.start(t, "x", `{"pause":0}`); err != nil {
		t.Fatal(err)
	}
	token, output := <-w.tokens, "{}"
	until(t, "it waits", func() bool { return w.clock.Waiters() > 0 })
	aside := w.dir + "-aside"
	if err := errors.Join(os.Rename(w.dir, aside), os.WriteFile(w.dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); err == nil {
		t.Error("an answer that could not be kept was accepted")
	}
	w.clock.Advance(time.Minute) // the timeout, which cannot be kept either
	until(t, "it tries again", func() bool { return w.clock.Waiters() > 0 })
	if got := w.describe(t, "x"); got.Status != types.ExecutionStatusRunning {
		t.Errorf("unsaved, it is %s", got.Status)
	}
	if err := errors.Join(os.Remove(w.dir), os.Rename(aside, w.dir)); err != nil {
		t.Fatal(err)
	}
	until(t, "it ends", func() bool {
		w.clock.Advance(time.Second)
		return w.describe(t, "x").Status == types.ExecutionStatusSucceeded
	})
}

func TestTransitionsAreStatesEntered(t *testing.T) {
	w := newWorld(t)
	w.crash()
	s := w.open(t)
	if err := w.start(t, "x", `{"pause":0}`); err != nil {
		t.Fatal(err)
	}
	token, output := <-w.tokens, "{}"
	if _, err := w.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); err != nil {
		t.Fatal(err)
	}
	until(t, "it ends", func() bool { return w.describe(t, "x").Status == types.ExecutionStatusSucceeded })
	if got := s.Transitions(); got != 3 {
		t.Errorf("First, Pause and Done are %d", got)
	}
}
