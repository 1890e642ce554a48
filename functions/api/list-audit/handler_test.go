package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

type world struct {
	*apitest.World
	*apitest.Route
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return world{w, apitest.Serve(t, "GET", "/v1/audit", handler{w.Table, api.NewCursors([]byte("of a test"))}.handle)}
}

// happen writes an event of the world's tenant and returns its id.
func (w world) happen(action string, n int) string {
	w.T.Helper()
	now := w.Clock.Now()
	e := audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: w.Caller.KeyID}
	w.Must(w.PutSecret(w.T.Context(), w.Tenant, table.Sealed{Name: fmt.Sprintf("%s%06d", action, n), Version: 1, SetAt: now}, table.By{Audit: e}))
	return e.ID
}

// all follows the cursors of a query to the end.
func (w world) all(query url.Values) (events []audit.Event) {
	w.T.Helper()
	for {
		var page api.Page[audit.Event]
		w.As(w.Caller, apitest.Request{Query: query.Encode()}).Into(w.T, 200, &page)
		events = append(events, page.Data...)
		if !page.HasMore {
			return events
		}
		query.Set("cursor", *page.NextCursor)
	}
}

func TestThePagesOfATrailAreWholeWhileOthersWrite(t *testing.T) {
	for _, filter := range []string{"", "action=b.b", "action=b.b&since=2026-11-23T12:01:00Z&until=2026-11-23T12:03:00Z"} {
		t.Run(filter, func(t *testing.T) {
			w := newWorld(t)
			query, err := url.ParseQuery(filter)
			w.Must(err)
			want := map[string]bool{}
			for n := range 60 {
				w.Clock.Advance(5 * time.Second)
				action := []string{"a.a", "b.b"}[n%2]
				at := w.Clock.Now()
				e := w.happen(action, n)
				if in := at.Sub(settlementtest.Start); (filter == "" || action == "b.b") &&
					(!query.Has("since") || in >= time.Minute && in < 3*time.Minute) {
					want[e] = true
				}
			}
			if len(want) < 10 {
				t.Fatalf("only %d events are to be found: the test tests nothing", len(want))
			}
			var writers sync.WaitGroup
			stop := make(chan struct{})
			for g := range 2 {
				writers.Go(func() {
					for n := 1000 * (g + 1); ; n++ {
						select {
						case <-stop:
							return
						default:
							w.Clock.Advance(time.Millisecond)
							w.happen("b.b", n)
						}
					}
				})
			}
			query.Set("limit", "7")
			seen := map[string]int{}
			for _, e := range w.all(query) {
				seen[e.ID]++
			}
			close(stop)
			writers.Wait()
			for e := range want {
				if seen[e] == 0 {
					t.Errorf("%s is missing", e)
				}
			}
			for e, n := range seen {
				if n != 1 {
					t.Errorf("%s is there %d times", e, n)
				}
			}
		})
	}
}

func TestAnEventTellsWhoWhenceAndWhatWasBefore(t *testing.T) {
	w := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	w.Clock.Advance(time.Second)
	w.Running("token")
	for range 3 {
		w.Must(w.NoteRefusal(t.Context(), w.Tenant, "quota_exceeded", audit.Event{At: w.Clock.Now(), Action: "request.refused", Actor: w.Caller.KeyID,
			RequestID: "req_1", Address: "203.0.113.9", Detail: "quota_exceeded: POST /v1/tasks"}))
	}
	refused := w.all(url.Values{"action": {"request.refused"}})
	if len(refused) != 1 || refused[0].Count != 3 || refused[0].Address != "203.0.113.9" || refused[0].RequestID != "req_1" || refused[0].Actor != w.Caller.KeyID {
		t.Errorf("refused: %+v", refused)
	}
	at := refused[0].At
	if again := w.all(url.Values{"since": {at.Format(time.RFC3339Nano)}, "until": {at.Add(time.Millisecond).Format(time.RFC3339Nano)}, "action": {"request.refused"}}); len(again) != 1 {
		t.Errorf("by the time that it shows, %s, %d are found", at, len(again))
	}
	started := w.all(url.Values{"action": {"run.start"}})
	if len(started) != 1 || started[0].Actor != "scheduler" || started[0].Count != 1 ||
		!slices.Contains(started[0].Changes, audit.Change{Field: "state", Before: "queued", After: "starting"}) {
		t.Errorf("started: %+v", started)
	}
}

func TestNobodySeesAnothersTrail(t *testing.T) {
	w := newWorld(t)
	w.happen("a.a", 1)
	stranger := w.Stranger("pro")
	var page api.Page[audit.Event]
	w.As(stranger, apitest.Request{Query: "limit=100"}).Into(t, 200, &page)
	for _, e := range page.Data {
		if e.Action == "a.a" {
			t.Errorf("a stranger sees %+v", e)
		}
	}
	w.As(w.Caller, apitest.Request{Query: "limit=1"}).Into(t, 200, &page)
	w.As(stranger, apitest.Request{Query: "limit=1&cursor=" + *page.NextCursor}).Refused(t, problem.InvalidParameter, "cursor")
	w.As(w.Caller, apitest.Request{Query: "limit=1&action=a.a&cursor=" + *page.NextCursor}).Refused(t, problem.InvalidParameter, "cursor")
	poor := w.Caller
	poor.Scopes = []string{"tasks:write"}
	w.As(poor, apitest.Request{}).Refused(t, problem.InsufficientScope, "")
}

func TestParametersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for query, field := range map[string]string{
		"action=": "action", "action=Task": "action", "action=task": "action", "action=" + strings.Repeat("a.", 40) + "a": "action", "action=a%23b": "action",
		"since=yesterday": "since", "until=2026-11-23": "until", "limit=0": "limit", "limit=101": "limit", "cursor=abc": "cursor",
		"actor=me": "actor", "action=a.a&action=b.b": "action",
	} {
		w.As(w.Caller, apitest.Request{Query: query}).Refused(t, problem.InvalidParameter, field)
	}
}
