package main

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/recorder"
	"outpost/infra/local/sdktest"
	"outpost/shared/agent"
	"outpost/shared/clock"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
)

// The measured run lasts seconds. What a run of minutes does more often is
// measured here, by the calls of the table that its functions make.
func TestAnActionUsesWhatIsSaid(t *testing.T) {
	e, err := engines.DynamoDB(t.Context(), "", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	r := recorder.New()
	if err := r.Forward("dynamodb", e.Endpoint); err != nil {
		t.Fatal(err)
	}
	// A call is recorded after its answer has gone out: answering holds the lock.
	var answering sync.RWMutex
	db := dynamodb.NewFromConfig(sdktest.Config(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		answering.RLock()
		defer answering.RUnlock()
		r.ServeHTTP(rw, req)
	})))
	settled := func() {
		answering.Lock()
		defer answering.Unlock()
	}
	c := clock.NewManual(settlementtest.Start)
	w := settlementtest.New(t, table.New(db, enginetest.TableName(t, db), c), c, "pro")

	// AWS's task tokens are of up to 1,024 characters, the local ones of 52: with
	// theirs a run's row is of more than one unit.
	const taskToken = 1000
	tk := w.Submit(runsPerTask)
	var runs []task.Run
	for range runsPerTask {
		runs = append(runs, w.Running(strings.Repeat("t", taskToken)))
	}
	ctx, tenant, run := t.Context(), w.Tenant, runs[0]
	// Each run has as many events behind it as a reader reads again.
	const batches = task.MaxEventBatch / eventsPerBatch
	batch := func(run task.Run, n int) error {
		var events []task.Event
		for i := range eventsPerBatch {
			events = append(events, task.Event{Seq: task.EventSeq(run.Attempt.Number, int64(n*eventsPerBatch+i+1)), At: c.Now(),
				Kind: task.EventOutput, Text: strings.Repeat("x", eventBytes)})
		}
		return w.PutEvents(ctx, tenant, run.ID, run.Attempt.Number, events)
	}
	for _, run := range runs {
		for n := range batches {
			w.Must(batch(run, n))
		}
	}
	last := task.EventSeq(run.Attempt.Number, batches*eventsPerBatch)

	for _, x := range []struct {
		name string
		want action
		do   func() error
	}{
		{"a heartbeat", actions.heartbeat, func() error {
			c.Advance(task.DefaultTiming.HeartbeatEvery)
			_, err := w.Heartbeat(ctx, tenant, run.ID, run.Attempt.Number, run.Attempt.Nonce, task.Spend{Usage: agent.Usage{InputTokens: 1_000_000, OutputTokens: 10_000}}, c.Now().Add(time.Minute))
			return err
		}},
		{"an event batch", actions.batch, func() error { return batch(run, batches) }},
		{"a look at a task and its events", actions.look, func() error {
			for range 2 { // get-task, list-task-events
				if _, err := w.Task(ctx, tenant, tk.ID); err != nil {
					return err
				}
			}
			if _, err := w.Prompt(ctx, tenant, tk.ID); err != nil {
				return err
			}
			for _, run := range runs {
				if _, _, err := w.RunEvents(ctx, tenant, run.ID, last, 100); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a second of waiting for events", actions.watch, func() error {
			if _, err := w.Run(ctx, tenant, run.ID); err != nil {
				return err
			}
			_, _, err := w.RunEvents(ctx, tenant, run.ID, last, 100)
			return err
		}},
		{"an API key checked", actions.authorize, func() error {
			_, err := w.KeyByHash(ctx, "v1."+tenant)
			return err
		}},
	} {
		settled()
		r.Reset()
		if err := x.do(); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		settled()
		read, write := 0.0, 0.0
		for _, call := range r.Calls() {
			if strings.HasPrefix(call.Action, "Get") || call.Action == "Query" {
				read += call.Units
			} else {
				write += call.Units
			}
		}
		if off(read, x.want.read) || off(write, x.want.write) {
			t.Errorf("%s uses %g read and %g write units, usage.go says %g and %g", x.name, read, write, x.want.read, x.want.write)
		}
	}
}

// off tells whether a measured figure is no longer what is said, within the
// tenth by which a run's units may grow unseen.
func off(measured, said float64) bool { return math.Abs(measured-said) > 0.1*said }
