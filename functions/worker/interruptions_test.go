package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
	"outpost/shared/task"
)

// endless is a script that says it is there, by a file, and ignores TERM,
// with a child that has left the session.
const endless = `trap "" TERM; echo x > new; (setsid sh -c 'trap "" TERM; echo $$ > MARK.pid; mv MARK.pid MARK; while :; do sleep 0.05; done' &); while :; do sleep 0.05; done`

// phases are where a run can be interrupted, and how to make it stay there.
var phases = []struct {
	name string
	stay func(w *world, mark string) (script string)
}{
	{"clone", func(w *world, mark string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = os.WriteFile(mark, nil, 0o600)
			<-r.Context().Done()
		})}
		go func() { _ = server.Serve(l) }()
		w.t.Cleanup(func() { _ = server.Close() })
		w.api.claim.Checkout.Repo, w.api.claim.Checkout.Schemes = "http://"+l.Addr().String()+"/a/b", []string{"http"}
		return ""
	}},
	{"setup", func(w *world, mark string) string {
		w.api.claim.Setup = strings.ReplaceAll(endless, "MARK", mark)
		return ""
	}},
	{"agent", func(w *world, mark string) string { return strings.ReplaceAll(endless, "MARK", mark) }},
	{"verify", func(w *world, mark string) string {
		w.api.claim.Verify = strings.ReplaceAll(endless, "MARK", mark)
		return "echo x > new"
	}},
}

// during runs a worker that stays in a phase, and calls do once it is there.
func during(t *testing.T, phase string, do func(w *world), options ...func(*world)) (*world, *task.Result) {
	t.Helper()
	w := newWorld(t)
	for _, o := range options {
		o(w)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	var script string
	for _, p := range phases {
		if p.name == phase {
			script = p.stay(w, mark)
		}
	}
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w.stop = func() { stop(outcome.ErrStopped) }
	acted := make(chan struct{})
	go func() {
		defer close(acted)
		waitFor(t, "the phase "+phase, func() bool { _, err := os.Stat(mark); return err == nil })
		do(w)
	}()
	r := w.runUntil(ctx, script)
	<-acted
	if text, err := os.ReadFile(mark); err == nil && len(text) > 0 {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || syscall.Kill(pid, 0) == nil {
			t.Errorf("process %q is left, %v", text, err)
		}
	}
	return w, r
}

func withClock(c clock.Clock) func(*world) { return func(w *world) { w.clock = c } }

func TestACancelIsObeyedInEveryPhase(t *testing.T) {
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			w, r := during(t, p.name, func(w *world) {
				w.api.mu.Lock()
				defer w.api.mu.Unlock()
				w.api.cancel = true
			})
			w.ended(r, task.Cancelled, task.ReasonCancelled)
			if _, saved := w.api.stored[task.ArtifactPatch]; saved != (p.name == "agent" || p.name == "verify") {
				t.Errorf("patch saved: %v", saved)
			}
		})
	}
}

func TestTheDeadlineEndsEveryPhase(t *testing.T) {
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			start := time.Now()
			manual := clock.NewManual(start)
			w, r := during(t, p.name, func(w *world) {
				w.clock.(*clock.Manual).Advance(11 * time.Minute)
			}, withClock(manual))
			if p.name == "verify" {
				// The agent was in time; only the verification was not.
				w.ended(r, task.Succeeded, "")
				if r.Verify.State != task.VerifyTimeout {
					t.Errorf("verify %+v", r.Verify)
				}
				return
			}
			w.ended(r, task.TimedOut, task.ReasonDeadline)
			if _, saved := w.api.stored[task.ArtifactPatch]; saved != (p.name == "agent") {
				t.Errorf("patch saved: %v", saved)
			}
		})
	}
}

func TestHeartbeatsTellWhatIsSpent(t *testing.T) {
	w := newWorld(t)
	told := make(chan struct{})
	var once sync.Once
	w.api.onCall = func(call string) {
		if call == "heartbeat" && w.api.spend.Usage.InputTokens == 1000 { // by the one before
			once.Do(func() { close(told) })
		}
	}
	go func() {
		<-told
		w.api.mu.Lock()
		defer w.api.mu.Unlock()
		w.api.cancel = true
	}()
	w.ended(w.run("ask; while :; do sleep 0.1; done"), task.Cancelled, task.ReasonCancelled)
	if s := w.api.spend; s.CostUSD == nil || *s.CostUSD <= 0 || s.Usage.OutputTokens != 200 {
		t.Errorf("the heartbeats told %+v", s)
	}
}

func TestASupersededAttemptGoesWithoutAWord(t *testing.T) {
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			w, r := during(t, p.name, func(w *world) {
				w.api.mu.Lock()
				defer w.api.mu.Unlock()
				w.api.refuse["heartbeat"] = "attempt_superseded"
			})
			if r != nil || w.exit != exitDone || len(w.api.stored) > 0 || w.api.calls["finish"]+w.api.calls["uploads"] > 0 {
				t.Errorf("exit %d, result %v, %d files stored, calls %v", w.exit, r, len(w.api.stored), w.api.calls)
			}
		})
	}
}

func TestAStoppedContainerReportsNoResult(t *testing.T) {
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			w, r := during(t, p.name, func(w *world) { w.stop() })
			if r != nil || w.exit != exitStopped || w.api.calls["finish"] > 0 {
				t.Errorf("exit %d, result %v: it must look lost, to be tried again", w.exit, r)
			}
		})
	}
}

func TestRefusalsEndQuietly(t *testing.T) {
	for _, c := range []struct {
		why, call, code string
		exit            int
	}{
		{"another worker has the ticket", "claim", "ticket_bound", exitDone},
		{"the run was cancelled before the claim", "claim", "run_cancelled", exitDone},
		{"another attempt took over before the claim", "claim", "attempt_superseded", exitDone},
		{"the API does not serve this worker's protocol", "claim", "protocol_unsupported", exitFailed},
		{"another attempt took over at the pin", "pin", "attempt_superseded", exitDone},
		{"another attempt took over at the events", "events", "attempt_superseded", exitDone},
		{"another attempt took over at the uploads", "uploads", "attempt_superseded", exitDone},
		{"another attempt took over at the end", "finish", "attempt_superseded", exitDone},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t)
			w.api.refuse[c.call] = c.code
			if r := w.run("echo x > new"); r != nil || w.exit != c.exit {
				t.Errorf("exit %d, result %v, want exit %d and none", w.exit, r, c.exit)
			}
		})
	}
}

func TestLostAnswersAreAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.api.lose = func(_ string, n int) bool { return n%2 == 1 }
	w.ended(w.run("echo x > new; echo one; echo two"), task.Succeeded, "")
	for _, call := range []string{"claim", "pin", "heartbeat", "events", "uploads", "put", "finish"} {
		if w.api.count(call) < 2 {
			t.Errorf("%s was called %d times: its answer was lost once", call, w.api.count(call))
		}
	}
	w.applied()
}

func TestAnExpiredTokenEndsTheWorker(t *testing.T) {
	manual := clock.NewManual(time.Now())
	w, r := during(t, "agent", func(w *world) {
		// The API is gone, and stays so until the token is of no use.
		w.api.server.CloseClientConnections()
		w.api.mu.Lock()
		w.api.lose = func(string, int) bool { return true }
		w.api.mu.Unlock()
		for range 2 {
			waitFor(t, "somebody to wait", func() bool { return manual.Waiters() > 0 })
			manual.Advance(2 * time.Hour)
		}
	}, withClock(manual))
	if w.exit != exitFailed {
		t.Errorf("exit %d, result %v", w.exit, r)
	}
}

func TestASuccessWhosePatchCannotBeStoredIsNone(t *testing.T) {
	w := newWorld(t)
	w.api.refuse["put"] = ""
	r := w.run("echo x > new")
	w.ended(r, task.Failed, task.ReasonWorkerFailed)
	if len(r.Artifacts) > 0 || r.Patch != (task.PatchStat{}) {
		t.Errorf("artifacts %v, patch %+v", r.Artifacts, r.Patch)
	}
}
