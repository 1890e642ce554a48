package table_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
)

// Each price is what one call of the method may ask of DynamoDB at most, when
// nobody is in the way.
func TestEveryMethodKeepsItsPrice(t *testing.T) {
	counter, c := &enginetest.Counter{}, clock.NewManual(start)
	b := benchOn(t, table.New(enginetest.Client(t, counter), enginetest.TableName(t, enginetest.Client(t, nil)), c), c)
	later := start.Add(time.Minute)
	var tk task.Task
	var r task.Run
	tx := func(reads int) map[string]int {
		want := map[string]int{"TransactWriteItems": 1}
		if reads > 0 {
			want["GetItem"] = reads
		}
		return want
	}
	one := func(op string) map[string]int { return map[string]int{op: 1} }
	change := map[string]int{"GetItem": 1, "PutItem": 1}
	for _, c := range []struct {
		method string
		call   func() error
		want   map[string]int
	}{
		{"Admit", func() error { a := b.admission(20); tk = a.Task; return b.Admit(b.ctx, b.tenant, a) }, tx(0)},
		{"Task", func() error { _, err := b.Task(b.ctx, b.tenant, tk.ID); return err }, one("Query")},
		{"Prompt", func() error { _, err := b.Prompt(b.ctx, b.tenant, tk.ID); return err }, one("GetItem")},
		{"Run", func() error { _, err := b.Run(b.ctx, b.tenant, tk.Runs[0].ID); return err }, one("GetItem")},
		{"Tasks", func() error { _, _, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{}, 20); return err }, one("Query")},
		{"KeyByHash", func() error { _, err := b.KeyByHash(b.ctx, b.caller.KeyHash); return err }, one("GetItem")},
		{"Secrets", func() error { _, err := b.Secrets(b.ctx, b.tenant); return err }, one("Query")},
		{"Secret", func() error {
			_, err := b.Secret(b.ctx, b.tenant, "XAI_API_KEY")
			if !errors.Is(err, table.ErrNotFound) {
				return err
			}
			return nil
		}, one("Query")},
		{"Standing, Queue and StartRun", func() (err error) { r, err = b.startNext(5); return err },
			map[string]int{"GetItem": 2 + 2, "Query": 1, "TransactWriteItems": 1}},
		{"BeginAttempt", func() error {
			_, err := b.BeginAttempt(b.ctx, b.tenant, r.ID, 1, "token", true, time.Minute, later)
			return err
		}, change},
		{"Claim", func() error { _, err := b.Claim(b.ctx, b.tenant, r.ID, 1, "n", later, by("run.claim")); return err }, tx(1)},
		{"Heartbeat", func() error {
			_, err := b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "n", task.Spend{}, later.Add(time.Second))
			return err
		}, change},
		{"PutEvents", func() error {
			return b.PutEvents(b.ctx, b.tenant, r.ID, 1, []task.Event{{Seq: task.EventSeq(1, 1), At: start}})
		}, one("PutItem")},
		{"RunEvents", func() error { _, _, err := b.RunEvents(b.ctx, b.tenant, r.ID, 0, 10); return err }, one("Query")},
		{"StoreResult", func() (err error) { r, err = b.StoreResult(b.ctx, b.tenant, r.ID, 1, "n", success()); return err }, change},
		{"Settle", func() error { b.settle(r); return nil }, tx(2)},
	} {
		counter.Take()
		if err := c.call(); err != nil {
			t.Fatalf("%s: %v", c.method, err)
		}
		if got := counter.Take(); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s asked %v, its price is %v", c.method, got, c.want)
		}
	}
}

// DynamoDB cuts a page at 1 MB, whatever limit was asked for. No task may fall
// out of the list for that.
func TestALongListOfLargeTasksIsReadWhole(t *testing.T) {
	b := newBench(t)
	const tasks = 110
	long := strings.Repeat("x", task.MaxCommand)
	for i := range tasks {
		a := b.admission(1)
		a.Task.ID = id.New(id.Task, start.Add(time.Duration(i)*time.Millisecond)) // in this order
		a.Task.Runs[0].ID, a.Task.Runs[0].Task = id.ForRun(a.Task.ID, 1), a.Task.ID
		a.Task.Spec.Setup, a.Task.Spec.Verify = long, long
		for n := range task.MaxTags {
			a.Task.Spec.Tags = append(a.Task.Spec.Tags, fmt.Sprintf("%d%s", n, strings.Repeat("y", 120)))
		}
		b.must(b.Admit(b.ctx, b.tenant, a))
	}
	after, previous, seen, pages := "", "~", 0, 0
	for {
		page, next, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{After: after}, 100)
		b.must(err)
		pages++
		for _, tk := range page {
			if tk.ID >= previous {
				t.Fatalf("%s comes after %s: not newest first", tk.ID, previous)
			}
			previous = tk.ID
			seen++
		}
		if next == "" {
			break
		}
		after = next
	}
	if seen != tasks || pages > 4 {
		t.Errorf("%d of %d tasks in %d pages", seen, tasks, pages)
	}
}

func TestEventsAreReadOnceHoweverBatchesOverlap(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	r := b.running("n")
	batch := func(from, to int64) (events []task.Event) {
		for n := from; n <= to; n++ {
			events = append(events, task.Event{Seq: task.EventSeq(1, n), At: start, Kind: task.EventMessage, Text: fmt.Sprint(n)})
		}
		return events
	}
	for _, c := range []struct{ from, to int64 }{
		{1, 100},   // the largest batch
		{101, 105}, // its answer was lost …
		{101, 108}, // … and the worker sent it again with what came since
		{104, 110}, // and once more, from within
		{111, 111},
	} {
		b.must(b.PutEvents(b.ctx, b.tenant, r.ID, 1, batch(c.from, c.to)))
	}
	for _, limit := range []int{1, 7, 100, 1000} {
		after, want := int64(0), int64(1)
		for more := true; more; {
			var events []task.Event
			var err error
			events, more, err = b.RunEvents(b.ctx, b.tenant, r.ID, after, limit)
			b.must(err)
			if len(events) > limit || (more && len(events) != limit) {
				t.Fatalf("limit %d: %d events, more %t", limit, len(events), more)
			}
			for _, e := range events {
				if e.Seq != task.EventSeq(1, want) || e.Text != fmt.Sprint(want) {
					t.Fatalf("limit %d: %d (%q), want %d", limit, e.Seq, e.Text, want)
				}
				want, after = want+1, e.Seq
			}
		}
		if want != 112 {
			t.Errorf("limit %d: read up to %d of 111", limit, want-1)
		}
	}
	if err := b.PutEvents(b.ctx, b.tenant, r.ID, 2, batch(1, 1)); !errors.Is(err, table.ErrStale) {
		t.Errorf("events under another attempt's number: %v", err)
	}
}

func TestTheLargestReportFitsAnItem(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	r := b.running("n")
	var events []task.Event
	for n := range task.MaxEventBatch {
		// Two bytes a character, and as much text as a report may have.
		events = append(events, task.Event{Seq: task.EventSeq(1, int64(n+1)), At: start.Add(time.Nanosecond), Kind: task.EventMessage,
			Text: strings.Repeat("é", task.MaxEventBytes/task.MaxEventBatch/2)})
	}
	b.must(b.PutEvents(b.ctx, b.tenant, r.ID, 1, events))
	got, more, err := b.RunEvents(b.ctx, b.tenant, r.ID, 0, task.MaxEventBatch)
	b.must(err)
	if len(got) != len(events) || more || got[99] != events[99] {
		t.Errorf("%d events, more %t", len(got), more)
	}
}

func TestIDsOfAnotherKindAreNotFound(t *testing.T) {
	b := newBench(t)
	tk := b.admit(1)
	for _, bad := range []string{"", "x", tk.ID, "run_", tk.Runs[0].ID + "_01", "RUN#" + tk.ID, strings.Repeat("z", 5000)} {
		if _, err := b.Run(b.ctx, b.tenant, bad); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("Run(%.40q): %v", bad, err)
		}
		if _, err := b.Claim(b.ctx, b.tenant, bad, 1, "n", start, by("run.claim")); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("Claim(%.40q): %v", bad, err)
		}
		if _, _, err := b.RunEvents(b.ctx, b.tenant, bad, 0, 1); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("RunEvents(%.40q): %v", bad, err)
		}
		if bad == tk.ID {
			continue
		}
		if _, err := b.Task(b.ctx, b.tenant, bad); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("Task(%.40q): %v", bad, err)
		}
		if _, err := b.PinCommit(b.ctx, b.tenant, bad, "c"); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("PinCommit(%.40q): %v", bad, err)
		}
	}
}

func TestAnUnclaimedAttemptIsHeldByNoNonce(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	r, err := b.startNext(1)
	b.must(err)
	_, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token", true, time.Minute, start)
	b.must(err)
	if _, err := b.Claim(b.ctx, b.tenant, r.ID, 1, "", start, by("run.claim")); err == nil {
		t.Error("a claim without a nonce was accepted")
	}
	if _, err := b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "", task.Spend{}, start); !errors.Is(err, table.ErrStale) {
		t.Errorf("heartbeat: %v", err)
	}
	if _, err := b.StoreResult(b.ctx, b.tenant, r.ID, 1, "", success()); !errors.Is(err, table.ErrStale) {
		t.Errorf("result: %v", err)
	}
}

func TestAUsedIdempotencyKeyIsReplayedUnderASmallerQuotaToo(t *testing.T) {
	b := newBench(t)
	a := b.admission(5)
	a.Idempotency = &table.Idempotency{Key: "k", BodyHash: "h", Status: 202, Body: []byte("first")}
	b.must(b.Admit(b.ctx, b.tenant, a))
	a = b.admission(5)
	a.RunsPerDay = 2 // the plan changed meanwhile
	a.Idempotency = &table.Idempotency{Key: "k", BodyHash: "h", Status: 202, Body: []byte("second")}
	var replay *table.Replay
	if err := b.Admit(b.ctx, b.tenant, a); !errors.As(err, &replay) || string(replay.Body) != "first" {
		t.Errorf("got %v", err)
	}
}
