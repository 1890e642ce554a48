package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/stack"
)

// binaries is where `make build` puts what the tests run; found before the S3
// engine changes the working directory.
var binaries, errBinaries = filepath.Abs("../../../build")

// sources is this package's folder, found likewise.
var sources, _ = filepath.Abs(".")

// timing makes leases short enough to be waited for.
var timing = map[string]string{
	"OUTPOST_CLAIM_LEASE": "15s", "OUTPOST_HEARTBEAT_LEASE": "5s", "OUTPOST_HEARTBEAT_EVERY": "1s",
	"OUTPOST_NO_CAPACITY_WAIT": "1s", "OUTPOST_NO_CAPACITY_LIMIT": "5s",
}

// world is a running Outpost and what a tenant does with it.
type world struct {
	t        testing.TB
	url, key string
	*stack.Stack
}

// options are a test's: real binaries, a folder of its own, short leases.
func options(t testing.TB, dir, agents, providerURL string) stack.Options {
	t.Helper()
	if errBinaries != nil {
		t.Fatal(errBinaries)
	}
	if _, err := os.Stat(filepath.Join(binaries, "functions", "worker")); err != nil {
		t.Fatal("the functions are not built: run make build")
	}
	return stack.Options{Dir: dir, Addr: "127.0.0.1:0", BinDir: binaries, Agents: agents, Settings: timing, ReapEvery: time.Second,
		Secrets: stack.Secrets(false, os.Getenv), ProviderURL: providerURL, Progress: t.Output()}
}

func start(t testing.TB, o stack.Options) *world {
	t.Helper()
	s, err := stack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, url: s.URL, key: s.Demo.APIKey, Stack: s}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			if logs, err := os.ReadFile(filepath.Join(o.Dir, "outpost.log")); err == nil {
				t.Logf("the end of Outpost's log:\n%s", logs[max(0, len(logs)-6000):])
			}
		}
	})
	return w
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one request; a body is marshalled unless it is text.
func (w *world) call(method, path string, body any, header ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, r)
	if err != nil {
		return answer{}, err
	}
	if w.key != "" {
		req.Header.Set("Authorization", "Bearer "+w.key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}

// must makes a request that has to be answered with a status.
func (w *world) must(status int, method, path string, body any, header ...string) answer {
	w.t.Helper()
	a, err := w.call(method, path, body, header...)
	if err != nil || a.status != status {
		w.t.Fatalf("%s %s: %d %s %v, want %d", method, path, a.status, a.body, err, status)
	}
	return a
}

type taskView struct {
	ID, State string
	Outcome   *string
	BestRun   *string `json:"best_run"`
	Runs      []runView
}

type runView struct {
	ID, Agent, State string
	Attempt          int
	Reason           *struct{ Code, Detail string }
	Verify           *struct{ State string }
	Patch            *struct{ Files, Additions, Deletions int }
	Usage            *struct {
		InputTokens int64    `json:"input_tokens"`
		CostUSD     *float64 `json:"cost_usd"`
	}
	Rank *int
}

func (r runView) reason() string {
	if r.Reason == nil {
		return ""
	}
	return r.Reason.Code
}

func (w *world) submit(body map[string]any) taskView {
	w.t.Helper()
	return w.read(w.must(http.StatusAccepted, "POST", "/v1/tasks", body))
}

func (w *world) read(a answer) (v taskView) {
	w.t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// until polls a task until it is as wanted.
func (w *world) until(id string, within time.Duration, want func(taskView) bool) taskView {
	w.t.Helper()
	var v taskView
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		a, err := w.call("GET", "/v1/tasks/"+id, nil)
		if err == nil && a.status == http.StatusOK {
			if v = w.read(a); want(v) {
				return v
			}
		}
	}
	w.t.Fatalf("after %s the task is %+v", within, v)
	return v
}

func (w *world) completed(id string) taskView {
	w.t.Helper()
	return w.until(id, 90*time.Second, func(v taskView) bool { return v.State == "completed" })
}

// repository makes a git repository out of files and returns its URL.
func repository(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) > 0 {
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-q", "-m", "first")
	}
	return "file://" + dir
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir // never the working directory, which may be gone
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return string(out)
}

// scriptedAgent is a folder with a codex that is a shell script: for tests of
// what surrounds an agent, where a real one would only cost time.
func scriptedAgent(t testing.TB, script string) string {
	t.Helper()
	dir := t.TempDir()
	const began, ended = `{"type":"thread.started"}`, `{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":0,"output_tokens":2}}`
	body := fmt.Sprintf("#!/bin/sh\ncat >/dev/null\necho '%s'\n%s\necho '%s'\n", began, script, ended)
	if err := os.WriteFile(filepath.Join(dir, "codex"), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// urls are the download URLs of a list of artifacts.
func urls(t testing.TB, body []byte) (found []string) {
	t.Helper()
	var list struct{ Data []struct{ URL string } }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Data {
		found = append(found, a.URL)
	}
	return found
}
