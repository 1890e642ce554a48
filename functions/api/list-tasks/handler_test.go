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

	"pgregory.net/rapid"

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
		ids = append([]string{w.admitOne(c, spec, "claude").ID}, ids...)
	}
	return ids
}

// admitOne admits a task with a run of each agent.
func (w world) admitOne(c tenant.Caller, spec task.Spec, agents ...string) task.Task {
	w.T.Helper()
	now := w.Clock.Now()
	tk := task.Task{ID: id.New(id.Task, now), Tenant: c.Tenant, State: task.Queued, CreatedAt: now, Spec: spec, Tally: task.Tally{Total: len(agents), Remaining: len(agents)}}
	tk.Spec.Priority = task.Normal
	for i, a := range agents {
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, i+1), Task: tk.ID, Tenant: c.Tenant, Number: i + 1, Agent: a, Priority: task.Normal, State: task.Queued, CreatedAt: now})
	}
	w.Must(w.Admit(w.T.Context(), c.Tenant, table.Admission{Caller: c, Task: tk, Prompt: "p", RunsPerDay: plan.Unlimited, Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
	return tk
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

// A task is found under the state that it is in, and under no other, on whatever
// page it stands.
func TestATaskIsListedUnderItsStateAlone(t *testing.T) {
	w := newWorld(t)
	ids := w.admit(w.Caller, 12, task.Spec{Repo: "https://h/a/b", Tags: []string{"x"}})
	want := map[string][]string{"queued": ids, "running": nil, "completed": nil}
	var runs []task.Run
	check := func() {
		t.Helper()
		for state, want := range want {
			for _, query := range []string{"&limit=1", "&limit=5", "&limit=100", "&agent=claude&tag=x&limit=3"} {
				if got, _ := w.all("state=" + state + query); !slices.Equal(got, want) {
					t.Errorf("%s%s: %v, want %v", state, query, got, want)
				}
			}
		}
	}
	check()
	for range 8 { // the oldest first
		runs = append(runs, w.StartNext())
	}
	want["queued"], want["running"] = ids[:4], ids[4:]
	check()
	for _, r := range runs[2:7] {
		_, err := w.Settle(t.Context(), w.Tenant, table.Settlement{Run: r, Decision: task.Decision{Next: task.NextDone, End: task.Failed, Reason: task.ReasonWorkerLost}, Now: w.Clock.Now()})
		w.Must(err)
	}
	want["running"], want["completed"] = []string{ids[4], ids[10], ids[11]}, ids[5:10]
	check()
}

// Whatever the filter and the size of pages, the pages hold what a filter over
// everything holds, newest first and each once, while others are added.
func TestFiltersAgreeWithAModel(t *testing.T) {
	w := newWorld(t)
	var tasks []task.Task
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		add := func() {
			w.Clock.Advance(time.Duration(rapid.IntRange(0, 1500).Draw(t, "microseconds")) * time.Microsecond)
			spec := task.Spec{Repo: pick("repo", "https://h/a", "https://h/b"), Tags: []string{pick("tag", "x", "y")}}
			agents := rapid.SliceOfN(rapid.SampledFrom([]string{"claude", "codex", "aider"}), 1, 3).Draw(t, "agents")
			tasks = append(tasks, w.admitOne(w.Caller, spec, agents...))
		}
		for range rapid.IntRange(1, 4).Draw(t, "more") {
			add()
		}
		q, want := url.Values{}, func(task.Task) bool { return true }
		and := func(name, value string, f func(task.Task) bool) {
			if rapid.Bool().Draw(t, "by "+name) {
				before := want
				q.Set(name, value)
				want = func(tk task.Task) bool { return before(tk) && f(tk) }
			}
		}
		repo, tag, agent := pick("a repo", "https://h/a", "https://h/c"), pick("a tag", "x", "z"), pick("an agent", "claude", "grok", "aider")
		and("repo", repo, func(tk task.Task) bool { return tk.Spec.Repo == repo })
		and("tag", tag, func(tk task.Task) bool { return tk.Spec.Tags[0] == tag })
		and("agent", agent, func(tk task.Task) bool {
			return slices.ContainsFunc(tk.Runs, func(r task.Run) bool { return r.Agent == agent })
		})
		and("state", "queued", func(tk task.Task) bool { return true })
		at := func(name string) time.Time { return tasks[rapid.IntRange(0, len(tasks)-1).Draw(t, name)].CreatedAt }
		since, until := at("since"), at("until")
		and("since", since.Format(time.RFC3339Nano), func(tk task.Task) bool { return !tk.CreatedAt.Before(since) })
		and("until", until.Format(time.RFC3339Nano), func(tk task.Task) bool { return tk.CreatedAt.Before(until) })

		old := len(tasks)
		seen := map[string]int{}
		last := "~"
		for cursor := ""; ; {
			query := q.Encode() + fmt.Sprintf("&limit=%d", rapid.IntRange(1, 40).Draw(t, "limit")) + cursor
			var page api.Page[api.Summary]
			w.As(w.Caller, apitest.Request{Query: query}).Into(w.T, 200, &page)
			for _, s := range page.Data {
				if seen[s.ID]++; s.ID >= last {
					t.Fatalf("%s stands behind %s", s.ID, last)
				}
				last = s.ID
			}
			if !page.HasMore {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
			if rapid.IntRange(0, 9).Draw(t, "meanwhile") == 0 {
				add()
			}
		}
		for i, tk := range tasks {
			if n := seen[tk.ID]; n > 1 || (i < old && (n == 1) != want(tk)) || (n == 1 && !want(tk)) {
				t.Fatalf("%s stands %d times under %v", tk.ID, n, q)
			}
		}
	})
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

func (e endless) Tasks(_ context.Context, _ string, _ table.TaskRange, limit int) (tasks []task.Task, next string, err error) {
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
		"state=done": "state", "since=yesterday": "since", "until=2026-13-01T00:00:00Z": "until", "tag=a%20b": "tag", "repo=": "repo", "agent=nobody": "agent", "colour=red": "colour",
	} {
		w.As(w.Caller, apitest.Request{Query: query}).Refused(t, problem.InvalidParameter, field)
	}
}
