package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/infra/local/asl"
	"outpost/shared/workflow"
)

// What goes wrong inside the machine ends the execution, or is caught, by the
// name that Amazon documents.
func TestErrorsHaveTheirNames(t *testing.T) {
	const task = `{"StartAt":"A","States":{
	  "A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload":{"a.$":"$.a"}},
	    "ResultSelector":{"b.$":"$.Payload.b"},"ResultPath":"$.a.b","Next":"B","Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.error","Next":"C"}]},
	  "B":{"Type":"Succeed"},"C":{"Type":"Fail","Error":"Caught"}}}`
	const decide = `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"x","Next":"B"}],"Default":"C"},
	  "B":{"Type":"Succeed"},"C":{"Type":"Fail","Error":"Default"}}}`
	const pause = `{"StartAt":"A","States":{"A":{"Type":"Wait","SecondsPath":"$.a","Next":"B"},"B":{"Type":"Succeed"}}}`
	large := strings.Repeat("x", asl.MaxData)
	for _, c := range []struct {
		why, definition, input string
		answer                 any
		fails                  error
		want                   string
	}{
		{"it goes well", task, `{"a":{}}`, map[string]any{"b": 1}, nil, ""},
		{"no such input", task, `{}`, nil, nil, "Caught"},
		{"no such result", task, `{"a":{}}`, map[string]any{"c": 1}, nil, "Caught"},
		{"no place for the result", task, `{"a":1}`, map[string]any{"b": 1}, nil, "Caught"},
		{"the function's process dies", task, `{"a":{}}`, nil, errors.New("gone"), "Caught"},
		{"too large a payload cannot be caught", task, `{"a":"` + large + `"}`, nil, nil, "States.DataLimitExceeded"},
		{"too large a result cannot be caught", task, `{"a":{}}`, map[string]any{"b": large}, nil, "States.DataLimitExceeded"},
		{"Runtime cannot be caught", task, `{"a":{}}`, nil, &asl.TaskError{Name: "States.Runtime"}, "States.Runtime"},
		{"a branch is taken", decide, `{"a":"x"}`, nil, nil, ""},
		{"another text", decide, `{"a":"y"}`, nil, nil, "Default"},
		{"a variable that is no text", decide, `{"a":{}}`, nil, nil, "Default"},
		{"a variable that does not exist", decide, `{}`, nil, nil, "States.Runtime"},
		{"no wait at all", pause, `{"a":0}`, nil, nil, ""},
		{"time does not run back", pause, `{"a":-1}`, nil, nil, "States.Runtime"},
		{"a part of a second", pause, `{"a":0.5}`, nil, nil, "States.Runtime"},
		{"a wait that overflows", pause, `{"a":1e30}`, nil, nil, "States.Runtime"},
		{"a wait that is text", pause, `{"a":"9"}`, nil, nil, "States.Runtime"},
	} {
		h := &host{invoke: func(string, map[string]any) (any, error) { return c.answer, c.fails }}
		if ex := run(t, c.definition, c.input, h); ex.Error != c.want || (c.want == "") != (ex.Status == asl.Succeeded) {
			t.Errorf("%s: %s %q (%s)", c.why, ex.Status, ex.Error, ex.Cause)
		}
	}
}

func TestAnAnswerThatCameBeforeTheFunctionFailedCounts(t *testing.T) {
	h := &host{answers: []*asl.Answer{{Output: json.RawMessage(`{}`)}}}
	h.invoke = func(function string, _ map[string]any) (any, error) {
		if strings.Contains(function, "Launch") {
			return nil, &asl.TaskError{Name: "Runtime.ExitError"}
		}
		return map[string]any{"next": "done", "wait_seconds": 0}, nil
	}
	if ex := run(t, workflow.Definition, input, h); ex.Status != asl.Succeeded || h.tokens != 2 {
		t.Errorf("%s after %d tokens", ex.Status, h.tokens) // Launch's and Settle's
	}
}

// play is a host whose every answer is drawn beforehand, so that a run with
// crashes can be held against one without.
type play struct {
	host
	saves   int
	crashAt []int
	given   map[string]*asl.Answer // by token; they outlive a crash, as a service's do
}

var errCrash = errors.New("crashed")

func (p *play) Save(ex *asl.Execution) error {
	p.saves++
	if slices.Contains(p.crashAt, p.saves) {
		return errCrash
	}
	return p.host.Save(ex)
}

func (p *play) Await(_ context.Context, ex *asl.Execution, _ time.Time) (*asl.Answer, error) {
	return p.given[ex.Token], nil
}

// A crash at any save, again and again, changes neither the end nor how long
// the machine waits nor how often it retries: only a function may run once more.
func TestCrashesChangeNothingThatCanBeSeen(t *testing.T) {
	const definition = `{"StartAt":"A","States":{
	  "A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"n.$":"$$.State.RetryCount","token.$":"$$.Task.Token"}},
	    "Retry":[{"ErrorEquals":["X"],"IntervalSeconds":2,"MaxAttempts":2,"BackoffRate":3,"MaxDelaySeconds":5},{"ErrorEquals":["States.TaskFailed"],"MaxAttempts":1}],
	    "Catch":[{"ErrorEquals":["X"],"ResultPath":"$.error","Next":"P"}],"TimeoutSeconds":60,"Next":"P"},
	  "P":{"Type":"Wait","SecondsPath":"$.pause","Next":"D"},"D":{"Type":"Succeed"}}}`
	m := load(t, definition)
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.SliceOfN(rapid.SampledFrom([]string{"", "X", "Y", "States.Timeout"}), 6, 6).Draw(t, "failures")
		crashes := rapid.SliceOfN(rapid.IntRange(1, 30), 0, 8).Draw(t, "crashes")
		pause := rapid.IntRange(0, 100).Draw(t, "pause")
		want, waited := expect(failures, pause)
		p := &play{crashAt: crashes, given: map[string]*asl.Answer{}}
		p.now = start
		tries := map[string]float64{} // the retry count that each token came with
		p.invoke = func(_ string, in map[string]any) (any, error) {
			token, n := in["token"].(string), in["n"].(float64)
			if before, known := tries[token]; known && before != n {
				t.Fatalf("the token %s came with %v and %v", token, before, n)
			}
			tries[token] = n
			switch name := failures[int(n)]; name {
			case "", "States.Timeout":
				p.given[token] = &asl.Answer{Output: json.RawMessage(`{"pause":` + fmt.Sprint(pause) + `}`), Error: name}
				return nil, nil
			default:
				return nil, &asl.TaskError{Name: name}
			}
		}
		ex, err := m.Start("x", `{"pause":`+fmt.Sprint(pause)+`}`, start)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.host.Save(ex); err != nil { // StartExecution writes before it answers
			t.Fatal(err)
		}
		for m.Run(context.Background(), ex, p) != nil { // it crashes, at most once a save
			ex = &asl.Execution{}
			if err := json.Unmarshal([]byte(p.saved[len(p.saved)-1]), ex); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(ex.Status) + ex.Error; got != want || p.waited != waited {
			t.Fatalf("%s after %s, want %s after %s", got, p.waited, want, waited)
		}
	})
}

// expect is what the definition above comes to, told another way.
func expect(failures []string, pause int) (end string, waited time.Duration) {
	x, other := 0, 0
	for _, name := range failures {
		switch {
		case name == "X" && x < 2:
			waited += time.Duration(math.Min(2*math.Pow(3, float64(x)), 5)) * time.Second
			x++
		case name == "Y" && other < 1:
			waited += time.Second
			other++
		case name == "" || name == "X":
			return "SUCCEEDED", waited + time.Duration(pause)*time.Second
		default:
			return "FAILED" + name, waited
		}
	}
	return "unreachable", 0
}
