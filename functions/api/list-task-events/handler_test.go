package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
)

type world struct {
	*apitest.World
	*apitest.Route
	task task.Task
}

func newWorld(t *testing.T, runs int) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return world{w, apitest.Serve(t, "GET", "/v1/tasks/{id}/events", handler{w.Table}.handle), w.SubmitAs(w.Caller, runs)}
}

// report stores events from to to of a run's first attempt.
func (w world) report(run int, from, to int64) {
	w.T.Helper()
	var events []task.Event
	for n := from; n <= to; n++ {
		events = append(events, task.Event{Seq: task.EventSeq(1, n), At: w.Clock.Now(), Kind: task.EventOutput, Text: fmt.Sprintf("%d/%d", run, n)})
	}
	w.Must(w.PutEvents(w.T.Context(), w.Tenant, w.task.Runs[run-1].ID, 1, events))
}

// follow reads page after page from a cursor until there is no more.
func (w world) follow(after string, limit int) (texts []string, cursor string) {
	w.T.Helper()
	for {
		query := fmt.Sprintf("limit=%d", limit)
		if after != "" {
			query += "&after=" + after
		}
		var page api.EventPage[event]
		w.As(w.Caller, apitest.Request{ID: w.task.ID, Query: query}).Into(w.T, 200, &page)
		for _, e := range page.Data {
			texts = append(texts, e.Text)
			if e.Run != w.task.Runs[e.Text[0]-'1'].ID {
				w.T.Errorf("%s is said to be of %s", e.Text, e.Run)
			}
		}
		if after = page.NextCursor; !page.HasMore {
			return texts, after
		}
	}
}

func TestEachEventIsReadOnceWhateverThePages(t *testing.T) {
	w := newWorld(t, 3)
	w.report(1, 1, 4)
	w.report(3, 1, 2)
	want := []string{"1/1", "1/2", "1/3", "1/4", "3/1", "3/2"}
	for _, limit := range []int{1, 2, 3, 4, 6, 100} {
		if got, _ := w.follow("", limit); !slices.Equal(got, want) {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
}

func TestACursorGoesOnWithWhatCameLater(t *testing.T) {
	w := newWorld(t, 2)
	w.report(2, 1, 2)
	_, cursor := w.follow("", 100)
	w.report(1, 1, 1)
	w.report(2, 3, 3)
	if got, _ := w.follow(cursor, 1); !slices.Equal(got, []string{"1/1", "2/3"}) {
		t.Errorf("%v", got)
	}
}

func TestCursorsThatAreRefused(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 1)
	made := func(v any) string {
		raw, err := json.Marshal(v)
		w.Must(err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	_, foreign := other.follow("", 1)
	for _, c := range []struct{ cursor, why string }{
		{"", "empty"}, {"abc", "invented"}, {foreign, "of another task"},
		{made(cursor{w.task.ID, map[int]int64{1: -1}}), "before the start"},
		{made(cursor{w.task.ID, map[int]int64{0: 1}}), "no such run"},
		{made(cursor{w.task.ID, nil}), "says nothing"},
		{made(map[string]any{"t": w.task.ID, "r": map[string]any{"1": "x"}}), "no number"},
		{made(map[string]any{"t": w.task.ID, "r": map[string]any{"1": json.Number("1e300")}}), "too large"},
		{strings.Repeat("A", 3000), "huge"},
	} {
		w.As(w.Caller, apitest.Request{ID: w.task.ID, Query: "after=" + c.cursor}).Refused(t, problem.InvalidParameter, "after")
	}
}

func TestStrangersFindNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.HidesFromStrangers(w.World, w.task.ID)
}
