package report

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"outpost/shared/clock"
	"outpost/shared/redact"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// Events sends an attempt's events in order, in batches, from a goroutine of
// its own. Each is scrubbed as it comes. When the API does not keep up, Emit
// waits, and with it the agent whose output the events tell.
type Events struct {
	client   *Client
	clock    clock.Clock
	scrubber *redact.Scrubber
	attempt  int
	ctx      context.Context // once done, Emit waits no more
	queue    chan task.Event
	sent     chan struct{}
	lost     func(error)

	mu     sync.Mutex
	count  int64 // events so far, the cut included
	closed bool
}

// flushAfter is how long an event waits for company.
const flushAfter = time.Second

// queued is how many events may wait to be sent.
const queued = 1000

// NewEvents starts to send. Emit never waits once agent is done; sending goes
// on until Close, or for good when send is done. lost is called when the API
// takes no events of this attempt.
func NewEvents(agent, send context.Context, c *Client, attempt int, s *redact.Scrubber, lost func(error)) *Events {
	e := &Events{client: c, clock: c.Clock, scrubber: s, attempt: attempt, ctx: agent,
		queue: make(chan task.Event, queued), sent: make(chan struct{}), lost: lost}
	go e.run(send)
	return e
}

// Emit adds an event. The text is scrubbed and cut at task.MaxEventText. After
// task.MaxRunEvents one event marks the cut and the rest is dropped.
func (e *Events) Emit(kind, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.count >= task.MaxRunEvents {
		return // before any work: a flood goes on for long after the cut
	}
	text = fit(e.scrubber.String(text))
	if e.count == task.MaxRunEvents-1 {
		kind, text = task.EventCut, "More events than are kept: the rest is in the log."
	}
	event := task.Event{Seq: task.EventSeq(e.attempt, e.count+1), At: e.clock.Now(), Kind: kind, Text: text}
	select {
	case e.queue <- event:
		e.count++
		return
	default:
	}
	select {
	case e.queue <- event:
		e.count++
	case <-e.ctx.Done(): // dropped: its number goes to the next
	}
}

// Close sends what waits and returns when it is sent or given up.
func (e *Events) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.queue)
	}
	e.mu.Unlock()
	<-e.sent
}

const cutText = "… [cut]"

// fit makes a text valid UTF-8 of at most task.MaxEventText bytes.
func fit(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= task.MaxEventText {
		return text
	}
	n := task.MaxEventText - len(cutText)
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + cutText
}

// batch is what is sent at once.
type batch struct {
	events []task.Event
	bytes  int
	due    <-chan time.Time
}

// run collects batches and sends them.
func (e *Events) run(ctx context.Context) {
	defer close(e.sent)
	var b batch
	flush := func() {
		if len(b.events) > 0 {
			e.send(ctx, b.events)
		}
		b = batch{}
	}
	for {
		select {
		case event, more := <-e.queue:
			if !more {
				flush()
				return
			}
			size := encodedSize(event)
			if len(b.events) == task.MaxEventBatch || b.bytes+size > task.MaxEventBytes-len(`{"events":[]}`) {
				flush()
			}
			if len(b.events) == 0 {
				b.due = e.clock.After(flushAfter)
			}
			b.events, b.bytes = append(b.events, event), b.bytes+size
		case <-b.due:
			flush()
		}
	}
}

// encodedSize is what an event takes in a request, its comma included.
func encodedSize(event task.Event) int {
	data, err := json.Marshal(event)
	if err != nil { // strings and numbers always encode
		return task.MaxEventBytes
	}
	return len(data) + 1
}

func (e *Events) send(ctx context.Context, events []task.Event) {
	if ctx.Err() != nil {
		return
	}
	if err := e.client.call(ctx, "events", runner.EventsRequest{Events: events}, &runner.Empty{}); err != nil {
		e.lost(err)
	}
}
