package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

type world struct {
	*apitest.World
	*apitest.Route
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return world{w, apitest.Serve(t, "GET", "/v1/tasks", handler{w.Table, api.NewCursors([]byte("of a test"))}.handle)}
}

// admit admits n tasks, a minute apart, and returns their ids, newest first.
func (w world) admit(c tenant.Caller, n int, spec task.Spec) (ids []string) {
	w.T.Helper()
	for range n {
		w.Clock.Advance(time.Minute)
		now := w.Clock.Now()
		tk := task.Task{ID: id.New(id.Task, now), Tenant: c.Tenant, State: task.Queued, CreatedAt: now, Spec: spec, Tally: task.Tally{Total: 1, Remaining: 1}}
		tk.Spec.Priority = task.Normal
		tk.Runs = []task.Run{{ID: id.ForRun(tk.ID, 1), Task: tk.ID, Tenant: c.Tenant, Number: 1, Agent: "claude", Priority: task.Normal, State: task.Queued, CreatedAt: now}}
		w.Must(w.Admit(w.T.Context(), c.Tenant, table.Admission{Caller: c, Task: tk, Prompt: "p", RunsPerDay: plan.Unlimited, Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
		ids = append([]string{tk.ID}, ids...)
	}
	return ids
}

// all follows the cursors of a query to the end.
func (w world) all(query string) (ids []string, pages int) {
	w.T.Helper()
	next := query
	for {
		var page api.Page[api.Summary]
		w.As(w.Caller, apitest.Request{Query: next}).Into(w.T, 200, &page)
		for _, s := range page.Data {
			ids = append(ids, s.ID)
		}
		if pages++; !page.HasMore {
			if page.NextCursor != nil {
				w.T.Errorf("the last page has a cursor")
			}
			return ids, pages
		}
		next = query + "&cursor=" + *page.NextCursor
	}
}

func TestPagesAreWholeAndNewestFirst(t *testing.T) {
	w := newWorld(t)
	want := w.admit(w.Caller, 7, task.Spec{Repo: "https://h/a/b"})
	w.admit(w.Stranger("pro"), 3, task.Spec{Repo: "https://h/a/b"})
	for limit, pages := range map[int]int{1: 7, 2: 4, 3: 3, 7: 1, 100: 1} {
		got, n := w.all(fmt.Sprintf("limit=%d", limit))
		if !slices.Equal(got, want) || n != pages {
			t.Errorf("limit %d: %v on %d pages, want %v on %d", limit, got, n, want, pages)
		}
	}
}

func TestFiltersFindWhatMatchesAcrossPages(t *testing.T) {
	w := newWorld(t)
	a := w.admit(w.Caller, 3, task.Spec{Repo: "https://h/a/b", Tags: []string{"x", "y"}})
	w.admit(w.Caller, 5, task.Spec{Repo: "https://h/c/d"})
	again := w.admit(w.Caller, 2, task.Spec{Repo: "https://h/a/b", Tags: []string{"y"}})
	both := append(slices.Clone(again), a...)
	begin := settlementtest.Start.Format(time.RFC3339)
	third := settlementtest.Start.Add(3 * time.Minute).Format(time.RFC3339)
	for query, want := range map[string][]string{
		"repo=" + url.QueryEscape("https://h/a/b"): both,
		"tag=x":                              a,
		"tag=y&state=queued":                 both,
		"state=completed":                    nil,
		"tag=nobody":                         nil,
		"since=" + begin + "&until=" + third: a[1:], // until is exclusive
		"since=" + third + "&tag=x":          a[:1], // since is inclusive
		"since=" + url.QueryEscape("2026-11-23T14:03:00+02:00") + "&tag=x": a[:1], // another time zone
	} {
		for _, limit := range []string{"&limit=1", "&limit=100"} {
			if got, _ := w.all(query + limit); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query+limit, got, want)
			}
		}
	}
}

func TestAPageLooksAtAThousandTasksAtMost(t *testing.T) {
	looked := 0
	h := handler{endless{&looked}, api.NewCursors([]byte("of a test"))}
	route := apitest.Serve(t, "GET", "/v1/tasks", h.handle)
	c := tenant.Caller{Tenant: id.New(id.Tenant, settlementtest.Start), KeyHash: "h", Scopes: tenant.Scopes, Entitlement: tenant.Entitlement{Plan: "pro"}}
	var page api.Page[api.Summary]
	route.As(c, apitest.Request{Query: "tag=nobody"}).Into(t, 200, &page)
	if looked != maxLooked || len(page.Data) != 0 || !page.HasMore || page.NextCursor == nil {
		t.Errorf("looked at %d: %+v", looked, page)
	}
}

// endless has tasks without end, none of which has a tag.
type endless struct{ looked *int }

func (e endless) Tasks(_ context.Context, _, _ string, limit int) (tasks []task.Task, next string, err error) {
	for range limit {
		*e.looked++
		next = id.New(id.Task, settlementtest.Start)
		tasks = append(tasks, task.Task{ID: next})
	}
	return tasks, next, nil
}

func TestCursorsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.admit(w.Caller, 3, task.Spec{Repo: "https://h/a/b", Tags: []string{"x"}})
	var page api.Page[api.Summary]
	w.As(w.Caller, apitest.Request{Query: "limit=1"}).Into(t, 200, &page)
	good := *page.NextCursor
	raw, err := base64.RawURLEncoding.DecodeString(good)
	w.Must(err)
	for _, c := range []struct{ query, why string }{
		{"cursor=", "empty"},
		{"cursor=abc", "invented"},
		{"cursor=" + good[1:], "cut at its start"},
		{"cursor=" + good[:len(good)-1], "cut at its end"},
		{"cursor=" + good + "A", "longer"},
		{"cursor=" + good + "&tag=x", "of another filter"},
		{"cursor=" + base64.RawURLEncoding.EncodeToString(append(raw, "' OR 1=1"...)), "with something behind it"},
		{"cursor=" + base64.RawURLEncoding.EncodeToString([]byte(strings.ToLower(string(raw)))), "not canonical"},
		{"cursor=" + strings.Repeat("A", 5000), "huge"},
		{"cursor=" + good + "&cursor=" + good, "twice"},
	} {
		w.As(w.Caller, apitest.Request{Query: c.query}).Refused(t, problem.InvalidParameter, "cursor")
	}
	w.As(w.Stranger("pro"), apitest.Request{Query: "cursor=" + good}).Refused(t, problem.InvalidParameter, "cursor")
	flipped := raw
	for i := range flipped {
		flipped[i] ^= 1
		w.As(w.Caller, apitest.Request{Query: "cursor=" + base64.RawURLEncoding.EncodeToString(flipped)}).Refused(t, problem.InvalidParameter, "cursor")
		flipped[i] ^= 1
	}
	w.As(w.Caller, apitest.Request{Query: "limit=7&cursor=" + good}).Into(t, 200, &page) // the size of pages may change
}

func TestParametersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=101": "limit", "limit=ten": "limit", "limit=1e1": "limit", "limit=99999999999999999999": "limit",
		"state=done": "state", "since=yesterday": "since", "until=2026-13-01T00:00:00Z": "until", "tag=a%20b": "tag", "repo=": "repo", "agent=claude": "agent",
	} {
		w.As(w.Caller, apitest.Request{Query: query}).Refused(t, problem.InvalidParameter, field)
	}
}
