package adapter_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"outpost/functions/worker/internal/adapter"
	"outpost/infra/local/agents"
	"outpost/infra/local/demorepo"
	"outpost/infra/local/provider"
	"outpost/shared/agent"
)

// record rewrites the samples in testdata from what the real CLIs print.
var record = flag.Bool("record", false, "rewrite testdata from the real CLIs")

// installed is where the CLIs are; the first test installs them if need be.
var installed = sync.OnceValues(func() (string, error) {
	return agents.Install(context.Background(), agents.FromNPM(), os.Stderr)
})

// session is a real CLI at work on a repository of its own.
type session struct {
	adapter.Session
	provider *provider.Provider
}

func newSession(t *testing.T, name, prompt string) *session {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	row, _ := agent.Lookup(name)
	p := &provider.Provider{Key: "dummy-key"}
	server := httptest.NewServer(p)
	// A request that hangs must not keep Close waiting.
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	root := t.TempDir()
	s := &session{provider: p, Session: adapter.Session{
		Agent: name, Model: row.DefaultModel, Prompt: prompt,
		WorkDir: filepath.Join(root, "work"), HomeDir: filepath.Join(root, "home"), TmpDir: filepath.Join(root, "tmp"),
		BinDir: bin, Path: os.Getenv("PATH"), BaseURL: server.URL, Key: "dummy-key",
	}}
	if err := demorepo.Make(t.Context(), s.WorkDir); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.HomeDir, s.TmpDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// result is what came of a session.
type result struct {
	adapter.Summary
	events         []adapter.Event
	stdout, stderr string
	exit           int
}

// text is all of the events' text.
func (r result) text() string {
	var b strings.Builder
	for _, e := range r.events {
		b.WriteString(e.Kind + " " + e.Text + "\n")
	}
	return b.String()
}

// run starts the CLI and waits until it has ended, at most within limit; its
// whole process group is gone then.
func (s *session) run(t *testing.T, limit time.Duration) result {
	t.Helper()
	c, err := adapter.New(s.Session)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFiles(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var r result
	var stdout, stderr bytes.Buffer
	reader := adapter.NewReader(s.Agent, func(e adapter.Event) { r.events = append(r.events, e) })
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.Dir, c.Env, strings.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = tee{reader.Stdout(), &stdout}, tee{reader.Stderr(), &stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
	r.exit = cmd.ProcessState.ExitCode()
	r.Summary, r.stdout, r.stderr = reader.Summary(r.exit), stdout.String(), stderr.String()
	if ctx.Err() == nil {
		return r
	}
	if t.Logf("%s\n%s", r.stdout, r.stderr); true {
		t.Errorf("%s did not end within %v", s.Agent, limit)
	}
	return r
}

type tee struct {
	a, b interface{ Write([]byte) (int, error) }
}

func (w tee) Write(p []byte) (int, error) {
	w.b.Write(p)
	return w.a.Write(p)
}

// changed lists what git sees in the session's checkout.
func (s *session) changed(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", s.WorkDir, "status", "--porcelain", "--untracked-files=all").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// keep writes the CLI's output as a sample, without what is of this machine.
func (s *session) keep(t *testing.T, r result, scenario string) {
	if !*record {
		return
	}
	text := r.stdout
	for from, to := range map[string]string{
		s.WorkDir: "/work", s.HomeDir: "/home", s.TmpDir: "/tmp", s.BaseURL: "http://127.0.0.1:1", filepath.Dir(filepath.Dir(s.BinDir)): "/agents",
	} {
		text = strings.ReplaceAll(text, from, to)
	}
	text = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).ReplaceAllString(text, "00000000-0000-4000-8000-000000000000")
	if err := os.WriteFile(filepath.Join("testdata", s.Agent+"-"+scenario+".jsonl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheRealAgentsFixTheBug(t *testing.T) {
	for _, name := range agents.FromNPM() {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, name, demorepo.Prompt)
			r := s.run(t, time.Minute)
			s.keep(t, r, "fix-bug")
			t.Logf("exit %d\n%s\n--\n%s\n--\n%s\n%+v\n%s", r.exit, r.stdout, r.stderr, r.text(), r.Summary, s.changed(t))
		})
	}
}
