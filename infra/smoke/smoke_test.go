package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outpost/infra/local/stack"
)

// binaries is where `make build` puts what the tests run; found before the S3
// engine changes the working directory.
var binaries, errBinaries = filepath.Abs("../../build")

// local is an Outpost on this machine whose claude is a script, and a
// repository.
func local(t *testing.T, script string) (url, key, repo string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(binaries, "functions", "worker")); err != nil || errBinaries != nil {
		t.Fatal("the functions are not built: run make build")
	}
	agents := t.TempDir()
	body := "#!/bin/sh\ncat >/dev/null\n" + script + "\n" +
		`echo '{"type":"result","subtype":"success","is_error":false,"result":"done","usage":{"input_tokens":1,"output_tokens":1}}'` + "\n"
	if err := os.WriteFile(filepath.Join(agents, "claude"), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	repo = filepath.Join(t.TempDir(), "repository")
	for _, args := range [][]string{{"init", "-q", "-b", "main", repo},
		{"-C", repo, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = agents // the S3 engine's own working directory may be gone
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git: %v: %s", err, out)
		}
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", BinDir: binaries, Agents: agents,
		Settings: map[string]string{"OUTPOST_HEARTBEAT_EVERY": "1s"},
		Secrets:  stack.Secrets(false, os.Getenv), ProviderURL: "http://127.0.0.1:9", Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.URL, s.Demo.APIKey, "file://" + repo
}

// smoked runs the command and returns its exit code and what it said.
func smoked(t *testing.T, ctx context.Context, key string, args ...string) (code int, out, complaint string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	getenv := func(name string) string { return map[string]string{"OUTPOST_API_KEY": key}[name] }
	code = run(ctx, args, getenv, &stdout, &stderr)
	if key != "" && strings.Contains(stdout.String()+stderr.String(), key) {
		t.Error("the key is printed")
	}
	return code, stdout.String(), stderr.String()
}

// trigger is a writer that acts once it is told something.
type trigger struct {
	bytes.Buffer
	on  string
	act func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.on) {
		w.act()
	}
	return n, err
}

func TestAWholeTaskGoesThrough(t *testing.T) {
	url, key, repo := local(t, "echo hello > OUTPOST.md")
	code, out, complaint := smoked(t, t.Context(), key, "-url", url+"/", "-repo", repo)
	if code != 0 || complaint != "" || strings.Count(out, "ok      ") != 10 || strings.Count(out, "\n") != 10 {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}

	wrong := "op_live_" + strings.Repeat("0", 38)
	code, out, complaint = smoked(t, t.Context(), wrong, "-url", url, "-repo", repo)
	if code != 1 || !strings.Contains(out, "failed  the agent is offered") || !strings.Contains(complaint, "the agent is offered: GET /v1/agents answered 403") || strings.Count(complaint, "\n") != 1 {
		t.Errorf("a wrong key: exit %d: %s%s", code, out, complaint)
	}

	code, out, complaint = smoked(t, t.Context(), key, "-url", url, "-repo", repo, "-agent", "nobody")
	if code != 1 || !strings.Contains(complaint, "the tenant's plan has no nobody") || strings.Contains(out, "admitted") {
		t.Errorf("an agent that is not there: exit %d: %s%s", code, out, complaint)
	}
}

func TestATaskThatChangesNothingIsAFailure(t *testing.T) {
	url, key, repo := local(t, "true")
	code, out, complaint := smoked(t, t.Context(), key, "-url", url, "-repo", repo)
	if code != 1 || !strings.Contains(complaint, "the task completes, followed by its events: ") || !strings.Contains(complaint, "no_changes") || strings.Count(complaint, "\n") != 1 || strings.Contains(out, "its patch applies") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
}

func TestAnInterruptedOneCancelsItsTask(t *testing.T) {
	url, key, repo := local(t, "sleep 100")
	ctx, interrupt := context.WithCancel(t.Context())
	out, complaint := &trigger{on: "ok      a task is admitted", act: interrupt}, &bytes.Buffer{}
	getenv := func(name string) string { return map[string]string{"OUTPOST_API_KEY": key, "OUTPOST_URL": url}[name] }
	if code := run(ctx, []string{"-repo", repo}, getenv, out, complaint); code != 1 || !strings.HasSuffix(complaint.String(), ": interrupted\n") {
		t.Fatalf("exit %d: %s%s", code, out, complaint)
	}
	for {
		got, err := newService(url, key).ask(t.Context(), "GET", "/v1/tasks", nil)
		if err != nil || !strings.Contains(string(got.body), `"tags":["smoke"]`) {
			t.Fatalf("%s %v", got.body, err)
		}
		if strings.Contains(string(got.body), `"outcome":"cancelled"`) {
			break
		}
	}
}
