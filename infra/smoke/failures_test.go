package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"outpost/shared/api"
)

// pretender answers as an Outpost does, up to the submission; what comes then
// is the test's.
func pretender(t *testing.T, then http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health":
		case r.Header.Get("Authorization") != "Bearer op_live_key":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v1/agents":
			fmt.Fprint(w, `{"data":[{"name":"claude"}]}`)
		default:
			then(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Nobody could cancel a task whose id never came back.
func TestOneInterruptedWhileItSubmitsCancelsItsTaskToo(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var asked []string
	url := pretender(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		interrupt()
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(api.Task{Summary: api.Summary{ID: "tsk_1", State: "queued"}, Runs: []api.Run{{ID: "run_1"}}})
	})
	code, _, complaint := smoked(t, ctx, "op_live_key", "-url", url)
	if code != 1 || complaint != "smoke: a task is admitted, once for its idempotency key: interrupted\n" || strings.Join(asked, ", ") != "POST /v1/tasks, POST /v1/tasks/tsk_1/cancel" {
		t.Errorf("exit %d: %s(asked %v)", code, complaint, asked)
	}
}

func TestATaskThatCannotBeCancelledIsNamed(t *testing.T) {
	url := pretender(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted) // and does not say that the second is replayed
		_ = json.NewEncoder(w).Encode(api.Task{Summary: api.Summary{ID: "tsk_1", State: "queued"}, Runs: []api.Run{{ID: "run_1"}}})
	})
	code, _, complaint := smoked(t, t.Context(), "op_live_key", "-url", url)
	for _, want := range []string{"the second answer is not marked as replayed", "; the task tsk_1 could not be cancelled: ", "answered 503"} {
		if !strings.Contains(complaint, want) {
			t.Errorf("it does not say %q: %s", want, complaint)
		}
	}
	if code != 1 || strings.Count(complaint, "\n") != 1 {
		t.Errorf("exit %d: %s", code, complaint)
	}
}

func TestOneThatTakesTooLongSaysSo(t *testing.T) {
	code, _, complaint := smoked(t, t.Context(), "op_live_key", "-url", pretender(t, http.NotFound), "-timeout", "1ns")
	if code != 1 || complaint != "smoke: the API answers: it took too long (-timeout)\n" {
		t.Errorf("exit %d: %s", code, complaint)
	}
}

// Presigned URLs let whoever reads them in: a log must not hold them.
func TestTheStoresURLIsNeverTold(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	for name, store := range map[string]string{"nobody there": gone.URL, "nothing there": empty.URL} {
		artifacts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/patch") {
				http.Redirect(w, r, store+"/p?X-Amz-Signature=signed", http.StatusFound)
				return
			}
			fmt.Fprintf(w, `{"data":[{"name":"patch","size":1,"sha256":"00","url":"%s/p?X-Amz-Signature=signed"}]}`, store)
		}))
		defer artifacts.Close()
		s := &smoke{api: newService(artifacts.URL, "op_live_key"), task: api.Task{Runs: []api.Run{{ID: "run_1"}}}}
		for what, do := range map[string]func(context.Context) error{"artifacts": s.artifacts, "route": s.route} {
			if err := do(t.Context()); err == nil || strings.Contains(err.Error(), "signed") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestAPatchThatDoesNotApplyIsAFailure(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git: %v: %s", err, out)
		}
	}
	head := "HEAD"
	s := &smoke{options: options{repo: "file://" + dir}, git: git, task: api.Task{Summary: api.Summary{Commit: &head}},
		patch: []byte("--- a/none.txt\n+++ b/none.txt\n@@ -1 +1 @@\n-a\n+b\n")}
	if err := s.applies(t.Context()); err == nil || !strings.Contains(err.Error(), "git apply: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	s.task.Commit = nil
	if err := s.applies(t.Context()); err == nil {
		t.Error("a task without a commit is taken")
	}
}

func TestWithoutGitThePatchIsNotApplied(t *testing.T) {
	var out bytes.Buffer
	s := &smoke{out: &out}
	if err := s.take(t.Context(), []step{{"its patch applies", s.applies}}); err != nil || !strings.HasPrefix(out.String(), "skipped its patch applies") || !strings.Contains(out.String(), "git is not on the PATH") {
		t.Errorf("%v: %s", err, &out)
	}
}

func TestWrongUseIsOneSentence(t *testing.T) {
	for _, c := range []struct {
		why, key string
		args     []string
		code     int
		want     string
	}{
		{"no URL", "op_live_key", nil, 2, "-url or OUTPOST_URL"},
		{"no key", "", []string{"-url", "http://127.0.0.1:9"}, 2, "OUTPOST_API_KEY"},
		{"an argument", "op_live_key", []string{"-url", "http://127.0.0.1:9", "go"}, 2, "nothing to do with go"},
		{"no URL at all", "op_live_key", []string{"-url", "::"}, 2, "must look like https://host"},
		{"a URL without a scheme", "op_live_key", []string{"-url", "outpost.example.com"}, 2, "must look like https://host"},
		{"a URL with a password", "op_live_key", []string{"-url", "https://me:pass@outpost.example.com"}, 2, "must look like https://host"},
		{"no time", "op_live_key", []string{"-url", "http://127.0.0.1:9", "-timeout", "0s"}, 2, "-timeout"},
		{"nobody there", "op_live_key", []string{"-url", "http://127.0.0.1:9"}, 1, "http://127.0.0.1:9 does not answer"},
	} {
		code, _, complaint := smoked(t, t.Context(), c.key, c.args...)
		if code != c.code || !strings.Contains(complaint, c.want) || strings.Count(complaint, "\n") != 1 || strings.Contains(complaint, "pass@") {
			t.Errorf("%s: exit %d: %s", c.why, code, complaint)
		}
	}
	if code, _, complaint := smoked(t, t.Context(), "op_live_key", "-key", "x"); code != 2 || !strings.Contains(complaint, "not defined: -key") {
		t.Errorf("a key as a flag: exit %d: %s", code, complaint)
	}
}
