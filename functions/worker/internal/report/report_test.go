package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/functions/worker/internal/report"
	"outpost/shared/clock"
	"outpost/shared/redact"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// start serves a handler and returns a client of it.
func start(t *testing.T, h http.HandlerFunc) *report.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &report.Client{Base: server.URL, HTTP: server.Client(), Clock: clock.System, Token: "bearer"}
}

func TestACallIsRepeatedUntilItIsAnswered(t *testing.T) {
	for _, c := range []struct {
		why    string
		status int
		again  bool
	}{
		{"the API failed", 500, true}, {"the gateway timed out", 504, true}, {"too many requests", 429, true}, {"a slow request", 408, true},
		{"a conflict is final", 409, false}, {"an expired token is final", 401, false}, {"a bad request is final", 400, false}, {"no such route is final", 404, false},
	} {
		calls := 0
		client := start(t, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"code":"some_code"}`)
				return
			}
			_, _ = io.WriteString(w, `{"cancel":true}`)
		})
		cancel, err := client.Heartbeat(t.Context(), "agent", task.Spend{})
		code, refused := report.Refused(err)
		if c.again && (err != nil || !cancel || calls != 2) {
			t.Errorf("%s: %v, %v, %d calls", c.why, cancel, err, calls)
		}
		if !c.again && (!refused || code != "some_code" || calls != 1) {
			t.Errorf("%s: %v, %d calls", c.why, err, calls)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	why := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	client := start(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(why)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := client.Pin(ctx, "c"); !errors.Is(err, why) {
		t.Errorf("%v, want the cause", err)
	}
}

// collector takes events.
type collector struct {
	mu      sync.Mutex
	batches [][]task.Event
	largest int
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var in runner.EventsRequest
	if err := json.Unmarshal(body, &in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches, c.largest = append(c.batches, in.Events), max(c.largest, len(body))
	_, _ = io.WriteString(w, "{}")
}

func (c *collector) all() []task.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []task.Event
	for _, b := range c.batches {
		all = append(all, b...)
	}
	return all
}

func TestEventsComeInOrderInBatchesAndCut(t *testing.T) {
	c := &collector{}
	client := start(t, c.ServeHTTP)
	events := report.NewEvents(t.Context(), t.Context(), client, 3, redact.New(nil), func(err error) { t.Error(err) })
	var emitters sync.WaitGroup
	for range 4 {
		emitters.Go(func() {
			for i := range task.MaxRunEvents / 3 {
				events.Emit(task.EventOutput, fmt.Sprint(i))
			}
		})
	}
	emitters.Wait()
	events.Close()
	all := c.all()
	if len(all) != task.MaxRunEvents || all[len(all)-1].Kind != task.EventCut {
		t.Fatalf("%d events, the last of kind %s", len(all), all[len(all)-1].Kind)
	}
	for i, e := range all {
		if want := task.EventSeq(3, int64(i)+1); e.Seq != want {
			t.Fatalf("event %d has number %d", i, e.Seq)
		}
	}
	for _, b := range c.batches {
		if len(b) > task.MaxEventBatch {
			t.Errorf("a batch of %d", len(b))
		}
	}
}

func TestLongEventsFit(t *testing.T) {
	c := &collector{}
	client := start(t, c.ServeHTTP)
	secret := "secret-" + strings.Repeat("s", 9)
	events := report.NewEvents(t.Context(), t.Context(), client, 1, redact.New(redact.Secrets{"S": secret}), func(err error) { t.Error(err) })
	for range 40 {
		// Control characters grow sixfold in JSON.
		events.Emit(task.EventMessage, strings.Repeat("\x01", task.MaxEventText-3)+secret+"ü\xff")
	}
	events.Close()
	for _, e := range c.all() {
		if len(e.Text) > task.MaxEventText || strings.Contains(e.Text, "secr") {
			t.Fatalf("an event of %d bytes: …%s", len(e.Text), e.Text[len(e.Text)-20:])
		}
	}
	if c.largest > task.MaxEventBytes || len(c.all()) != 40 {
		t.Errorf("%d events, the largest report has %d bytes", len(c.all()), c.largest)
	}
}

func TestAnEventDoesNotWaitForCompanyForLong(t *testing.T) {
	c := &collector{}
	client := start(t, c.ServeHTTP)
	manual := clock.NewManual(time.Now())
	client.Clock = manual
	events := report.NewEvents(t.Context(), t.Context(), client, 1, redact.New(nil), func(err error) { t.Error(err) })
	defer events.Close()
	events.Emit(task.EventMessage, "alone")
	for end := time.Now().Add(time.Minute); len(c.all()) == 0; {
		if time.Now().After(end) {
			t.Fatal("it was never sent")
		}
		if manual.Waiters() > 0 {
			manual.Advance(time.Second)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAnAPIThatIsGoneHoldsUpNoAgentThatHasEnded(t *testing.T) {
	asked := make(chan struct{}, 1)
	client := start(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	agent, ended := context.WithCancel(t.Context())
	send, giveUp := context.WithCancel(t.Context())
	lost := make(chan error, 1)
	events := report.NewEvents(agent, send, client, 1, redact.New(nil), func(err error) { lost <- err })
	emitted := make(chan struct{})
	go func() {
		defer close(emitted)
		for range 5000 {
			events.Emit(task.EventOutput, "x")
		}
	}()
	ended()
	<-emitted
	<-asked // a sending that never began has lost nothing
	giveUp()
	events.Close()
	if err := <-lost; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnUploadAsksForAFreshURL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked, refused int
	var base string
	client := start(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/runner/v1/uploads":
			asked++
			_ = json.NewEncoder(w).Encode(runner.UploadsResponse{Uploads: []runner.Upload{{Name: "a.log", URL: fmt.Sprintf("%s/%d", base, asked)}}})
		case r.URL.Path == "/1":
			refused++
			w.WriteHeader(http.StatusForbidden) // it has expired
		default:
			body, _ := io.ReadAll(r.Body)
			if string(body) != "text" || r.ContentLength != 4 {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	})
	base = client.Base
	stored, err := client.Upload(t.Context(), []task.Artifact{{Name: "a.log", Size: 4}}, map[string]string{"a.log": path})
	if err != nil || len(stored) != 1 || asked != 2 || refused != 1 {
		t.Errorf("%v, %v; %d asked, %d refused", stored, err, asked, refused)
	}
}

func TestAnUploadThatIsAlwaysRefusedIsTold(t *testing.T) {
	var base string
	client := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/runner/v1/uploads" {
			_ = json.NewEncoder(w).Encode(runner.UploadsResponse{Uploads: []runner.Upload{{Name: "a", URL: base + "/x"}}})
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
	base = client.Base
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stored, err := client.Upload(t.Context(), []task.Artifact{{Name: "a", Size: 1}}, map[string]string{"a": path}); err == nil || len(stored) > 0 {
		t.Errorf("%v, %v", stored, err)
	}
}
