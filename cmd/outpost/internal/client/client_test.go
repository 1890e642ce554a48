package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// instant is a clock on which every wait is over at once; it keeps the waits.
type instant struct{ waits []time.Duration }

func (*instant) Now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
func (i *instant) After(d time.Duration) <-chan time.Time {
	i.waits = append(i.waits, d)
	c := make(chan time.Time, 1)
	c <- i.Now()
	return c
}

// never is a clock on which no wait ends.
type never struct{ asked chan struct{} }

func (never) Now() time.Time { return time.Time{} }
func (n never) After(time.Duration) <-chan time.Time {
	close(n.asked)
	return nil
}

func serve(t *testing.T, h http.HandlerFunc) (*Client, *instant) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, waits := New(s.URL, "the-key", "test"), &instant{}
	c.clock, c.spread = waits, func(d time.Duration) time.Duration { return d }
	return c, waits
}

func refuse(w http.ResponseWriter, status int, code string, retryable bool, after string) {
	if after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"title":"No.","detail":"Because.","status":%d,"code":%q,"request_id":"req-7","retryable":%t}`, status, code, retryable)
}

func TestWhatMaySucceedLaterIsTriedAgain(t *testing.T) {
	fine := func(w http.ResponseWriter) { fmt.Fprint(w, `{"data":[]}`) }
	broken := func(w http.ResponseWriter) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	}
	problem := func(status int, retryable bool, after string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { refuse(w, status, "some_code", retryable, after) }
	}
	bare := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, `{"message":"x"}`, status) }
	}
	for _, c := range []struct {
		why     string
		answers []func(http.ResponseWriter) // the last one stays
		tries   int
		status  int // of the error; 0 for none, -1 for unreachable
		pauses  []time.Duration
	}{
		{"a good answer needs one try", []func(http.ResponseWriter){fine}, 1, 0, nil},
		{"busy passes", []func(http.ResponseWriter){problem(503, true, ""), fine}, 2, 0, []time.Duration{250 * time.Millisecond}},
		{"a broken connection passes", []func(http.ResponseWriter){broken, fine}, 2, 0, []time.Duration{250 * time.Millisecond}},
		{"the gateway's own 503 passes", []func(http.ResponseWriter){bare(503), fine}, 2, 0, []time.Duration{250 * time.Millisecond}},
		{"the pause doubles, and five tries are enough", []func(http.ResponseWriter){problem(500, true, "")}, 5, 500,
			[]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}},
		{"nobody there is told after five tries", []func(http.ResponseWriter){broken}, 5, -1,
			[]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}},
		{"Retry-After is waited for", []func(http.ResponseWriter){problem(429, true, "3"), fine}, 2, 0, []time.Duration{3250 * time.Millisecond}},
		{"a quota of tomorrow is told at once", []func(http.ResponseWriter){problem(429, true, "40000")}, 1, 429, nil},
		{"a request that is wrong stays wrong", []func(http.ResponseWriter){problem(422, false, "")}, 1, 422, nil},
		{"a 500 that says it stays is believed", []func(http.ResponseWriter){problem(500, false, "")}, 1, 500, nil},
		{"a key that is refused stays refused", []func(http.ResponseWriter){bare(403)}, 1, 403, nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			var tries atomic.Int32
			api, waits := serve(t, func(w http.ResponseWriter, r *http.Request) {
				c.answers[min(int(tries.Add(1)), len(c.answers))-1](w)
			})
			_, err := api.Agents(t.Context())
			var refused *Error
			var unreachable *Unreachable
			switch {
			case c.status == 0 && err != nil, c.status == -1 && !errors.As(err, &unreachable),
				c.status > 0 && (!errors.As(err, &refused) || refused.Status != c.status):
				t.Errorf("error %v", err)
			}
			if int(tries.Load()) != c.tries || fmt.Sprint(waits.waits) != fmt.Sprint(c.pauses) {
				t.Errorf("%d tries with pauses %v, want %d with %v", tries.Load(), waits.waits, c.tries, c.pauses)
			}
		})
	}
}

func TestEveryTryOfASubmissionIsTheSame(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("Idempotency-Key")+" "+string(body)]++
		if len(seen) == 1 && seen[r.Header.Get("Idempotency-Key")+" "+string(body)] < 3 {
			refuse(w, 503, "busy", true, "")
			return
		}
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(202)
		fmt.Fprint(w, `{"id":"tsk_1","state":"queued"}`)
	})
	task, replayed, err := api.Create(t.Context(), NewTask{Repo: "r", Prompt: "p", Agents: []NewAgent{{Name: "claude"}, {Name: "codex", Model: "m"}}}, "my-key")
	if err != nil || task.ID != "tsk_1" || !replayed {
		t.Fatalf("%+v %t %v", task, replayed, err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := `my-key {"repo":"r","prompt":"p","agents":["claude",{"agent":"codex","model":"m"}]}`
	if seen[want] != 3 || len(seen) != 1 {
		t.Errorf("sent %v, want %s three times", seen, want)
	}
}

func TestLeavingEndsAWaitForTheNextTry(t *testing.T) {
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, 503, "busy", true, "") })
	clock := never{make(chan struct{})}
	api.clock = clock
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-clock.asked; leave() }()
	if _, err := api.Agents(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAPatchBehindARedirectComesWithoutTheKey(t *testing.T) {
	patch := "diff --git a/x b/x\n\x00\xff\r\n"
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the API key went to the store")
		}
		fmt.Fprint(w, patch)
	}))
	defer store.Close()
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-key" {
			t.Error("the API key is missing")
		}
		w.Header().Set("Location", store.URL+"/patch?signature=s")
		w.WriteHeader(http.StatusFound)
	})
	got, err := api.Diff(t.Context(), "run_1")
	if err != nil || string(got) != patch {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnAnswerThatBreaksOffIsNoAnswer(t *testing.T) {
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "diff --git a/x b/x\n")
	})
	got, err := api.Diff(t.Context(), "run_1")
	var unreachable *Unreachable
	if !errors.As(err, &unreachable) || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestARedirectOfTheAPIIsNotFollowedWithTheKey(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("followed") }))
	defer elsewhere.Close()
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if _, err := api.Agents(t.Context()); err == nil || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherServersAnswerIsNoTask(t *testing.T) {
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>hello</html>") })
	if _, err := api.Agents(t.Context()); err == nil || !strings.Contains(err.Error(), "is it the address of an Outpost") {
		t.Errorf("got %v", err)
	}
}

func TestARefusalReadsInAFewLines(t *testing.T) {
	for _, c := range []struct{ why, body, want string }{
		{"each field is named",
			`{"title":"The request is not valid.","detail":"Two fields.","code":"validation_failed","request_id":"r1","errors":[{"field":"/agents/0","message":"is unknown"},{"field":"limit","message":"is too big"}]}`,
			"The request is not valid. Two fields.\n  agents/0: is unknown\n  limit: is too big\n  (HTTP 422 validation_failed, request r1)"},
		{"a field that the detail names is not named twice",
			`{"title":"The request is not valid.","detail":"/agents/0 is unknown.","code":"validation_failed","request_id":"r1","errors":[{"field":"/agents/0","message":"is unknown"}]}`,
			"The request is not valid. /agents/0 is unknown.\n  (HTTP 422 validation_failed, request r1)"},
		{"a quota says when",
			`{"title":"The daily quota is used up.","detail":"","code":"quota_exceeded","request_id":"r2","resets_at":"2026-11-24T00:00:00Z"}`,
			"The daily quota is used up.\n  Again from 2026-11-24T00:00:00Z.\n  (HTTP 422 quota_exceeded, request r2)"},
		{"a body of nobody's is still a sentence", `oops`, "The service answered unprocessable entity.\n  (HTTP 422)"},
	} {
		api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(422)
			fmt.Fprint(w, c.body)
		})
		if _, err := api.Agents(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.why, err, c.want)
		}
	}
}

func TestATaskIsWrittenAsTheAPISentIt(t *testing.T) {
	sent := `{"id":"tsk_1","runs":[{"id":"run_1","new_in_run":1}],"new_field":{"a":null}}`
	var task Task
	if err := json.Unmarshal([]byte(sent), &task); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(task); err != nil || string(got) != sent {
		t.Errorf("got %s, %v", got, err)
	}
	if len(task.Runs) != 1 || task.Runs[0].ID != "run_1" {
		t.Errorf("runs %+v", task.Runs)
	}
}
