package main

import (
	"encoding/json"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
	"outpost/shared/token"
)

type world struct {
	*apitest.World
	*apitest.Route
	run task.Run
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w.SubmitAs(w.Caller, 1)
	return world{w, apitest.Serve(t, "POST", "/runner/v1/events", handler{w.Table}.handle), w.Running("token")}
}

// batch is n events from the given number on.
func batch(from, n int64, text string) (events []task.Event) {
	for i := range n {
		events = append(events, task.Event{Seq: task.EventSeq(1, from+i), At: settlementtest.Start, Kind: task.EventOutput, Text: text})
	}
	return events
}

func (w world) report(events []task.Event) apitest.Answer {
	w.T.Helper()
	body, err := json.Marshal(runner.EventsRequest{Events: events})
	w.Must(err)
	return w.AsWorker(token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: w.run.ID, Attempt: 1, Nonce: "nonce"}, apitest.Request{Body: string(body)})
}

func TestABatchSentTwiceIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		w.report(batch(1, 3, "ü\x00\n<")).Into(t, 200, nil)
	}
	w.report(batch(4, 1, "last")).Into(t, 200, nil)
	got, more, err := w.RunEvents(t.Context(), w.Tenant, w.run.ID, 0, 100)
	w.Must(err)
	if len(got) != 4 || more || got[0].Text != "ü\x00\n<" || got[3].Text != "last" {
		t.Errorf("%+v", got)
	}
}

func TestTheLargestBatchesFit(t *testing.T) {
	w := newWorld(t)
	w.report(batch(1, task.MaxEventBatch, strings.Repeat("x", task.MaxEventBytes/task.MaxEventBatch))).Into(t, 200, nil)
	w.report(batch(101, task.MaxEventBytes/task.MaxEventText, strings.Repeat("\x01", task.MaxEventText))).Into(t, 200, nil) // six times longer in JSON
	w.report(batch(task.MaxRunEvents, 1, "the last one")).Into(t, 200, nil)
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	gap, back, foreign := batch(1, 2, "x"), batch(1, 2, "x"), batch(1, 1, "x")
	gap[1].Seq++
	back[1].Seq--
	foreign[0].Seq = task.EventSeq(2, 1)
	kind := batch(1, 1, "x")
	kind[0].Kind = "gossip"
	for _, c := range []struct {
		events []task.Event
		field  string
		why    string
	}{
		{nil, "/events", "no list"},
		{[]task.Event{}, "/events", "empty"},
		{batch(1, task.MaxEventBatch+1, "x"), "/events", "too many"},
		{gap, "/events/1/seq", "a gap"},
		{back, "/events/1/seq", "not growing"},
		{foreign, "/events/0/seq", "another attempt's"},
		{batch(task.MaxRunEvents+1, 1, "x"), "/events/0/seq", "past the cap"},
		{kind, "/events/0/kind", "unknown kind"},
		{batch(1, 1, strings.Repeat("ü", task.MaxEventText/2+1)), "/events/0/text", "fewer characters than bytes"},
		{batch(1, 20, strings.Repeat("x", task.MaxEventText)), "/events", "too much text together"},
	} {
		if p := w.report(c.events).Refused(t, problem.ValidationFailed, c.field); t.Failed() {
			t.Fatalf("%s: %+v", c.why, p)
		}
	}
	if got, _, err := w.RunEvents(t.Context(), w.Tenant, w.run.ID, 0, 10); err != nil || len(got) != 0 {
		t.Errorf("something refused was stored: %v, %v", got, err)
	}
}
