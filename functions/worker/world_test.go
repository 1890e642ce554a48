package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outpost/functions/worker/internal/checkout"
	"outpost/shared/clock"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// envAsk makes this test binary the scripted agent's way to ask its provider.
const envAsk = "WORKER_TEST_ASK"

func TestMain(m *testing.M) {
	if answer, asked := checkout.Answer(os.Args, os.Getenv); asked {
		fmt.Println(answer)
		return
	}
	if os.Getenv(envAsk) != "" {
		ask()
		return
	}
	os.Exit(m.Run())
}

// ask asks the provider as an agent would and prints the status.
func ask() {
	req, err := http.NewRequest(http.MethodPost, os.Getenv("ANTHROPIC_BASE_URL")+"/v1/messages", strings.NewReader(`{"model":"claude-sonnet-4-5"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("X-Api-Key", os.Getenv("ANTHROPIC_API_KEY"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("status %d %s\n", resp.StatusCode, body)
}

// world is everything around one worker: an API, a provider, a repository, and
// an agent that does what its prompt, a shell script, says.
type world struct {
	t        *testing.T
	api      *fakeAPI
	repo     string // folder of the repository
	clock    clock.Clock
	provider http.HandlerFunc
	settings Settings
	stop     func() // as the platform takes the container away
	exit     int
	logged   bytes.Buffer
}

// Secrets of the world, built here so that no scanner takes them for real.
var (
	providerKey = "provider-" + strings.Repeat("K9", 16)
	runToken    = "run-token-" + strings.Repeat("R8", 16)
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, api: newFakeAPI(t), repo: t.TempDir(), clock: clock.System}
	w.provider = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"type":"message","usage":{"input_tokens":1000,"output_tokens":200}}`)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.provider(rw, r) }))
	t.Cleanup(server.Close)
	w.git("init", "-q", "-b", "main")
	w.write("README.md", "hello\n")
	w.git("add", ".")
	w.commit("first")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.settings = Settings{API: w.api.server.URL, Run: "run_x_01", Attempt: 2, Ticket: w.api.ticket,
		Agents: t.TempDir(), Path: os.Getenv("PATH"), Scratch: t.TempDir(), Program: program}
	script := "#!/bin/sh\nask() { " + envAsk + "=1 " + program + "; }\ncat > \"$TMPDIR/script\"\n" +
		"( . \"$TMPDIR/script\" ) ; code=$?\n" +
		`[ $code = 0 ] && wrong=false || wrong=true` + "\n" +
		`echo '{"type":"assistant","message":{"content":[{"type":"text","text":"all done"}]}}'` + "\n" +
		`printf '{"type":"result","subtype":"success","is_error":%s,"result":"all done","usage":{"input_tokens":1,"output_tokens":1}}\n' $wrong` + "\nexit $code\n"
	if err := os.WriteFile(filepath.Join(w.settings.Agents, "claude"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	w.api.claim = runner.ClaimResponse{
		RunToken: runToken, TokenExpiresAt: time.Now().Add(time.Hour), Run: "run_x_01", Task: "tsk_x", Attempt: 2,
		Agent: "claude", Model: "claude-sonnet-4-5", Deadline: time.Now().Add(10 * time.Minute), HeartbeatEverySeconds: 1,
		Checkout: runner.Checkout{Repo: "file://" + w.repo, Schemes: []string{"file"}, PrivateAddresses: []string{"127.0.0.0/8"}},
		Provider: runner.Provider{Name: "anthropic", BaseURL: server.URL, KeyName: "ANTHROPIC_API_KEY", Key: providerKey},
	}
	return w
}

// git runs the user's git in the repository.
func (w *world) git(args ...string) string {
	w.t.Helper()
	return gitIn(w.t, w.repo, args...)
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.repo, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) commit(message string) string {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", message)
	return w.git("rev-parse", "HEAD")
}

// run runs the worker with a script for its agent, and returns the result;
// nil when none was taken.
func (w *world) run(script string) *task.Result {
	w.t.Helper()
	return w.runUntil(w.t.Context(), script)
}

func (w *world) runUntil(ctx context.Context, script string) *task.Result {
	w.t.Helper()
	w.api.mu.Lock()
	w.api.claim.Prompt = script
	w.api.mu.Unlock()
	worker := &Worker{Settings: w.settings, Clock: w.clock, HTTP: &http.Client{},
		Log: func(f string, args ...any) { fmt.Fprintf(&w.logged, f+"\n", args...) }}
	w.exit = worker.Run(ctx)
	left, err := os.ReadDir(w.settings.Scratch)
	if err != nil || len(left) > 0 {
		w.t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
	for name, secret := range map[string]string{"provider key": providerKey, "run token": runToken, "ticket": w.api.ticket} {
		if strings.Contains(w.api.all()+w.logged.String(), secret) {
			w.t.Errorf("the %s left the worker", name)
		}
	}
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	return w.api.result
}

// ended checks how a run ended.
func (w *world) ended(r *task.Result, state task.State, reason task.Reason) {
	w.t.Helper()
	if r == nil {
		w.t.Fatalf("no result was taken; exit %d, log:\n%s", w.exit, w.logged.String())
	}
	if r.State != state || r.Reason != reason {
		w.t.Errorf("ended %s/%s (%s), want %s/%s; log:\n%s\n%s", r.State, r.Reason, r.Detail, state, reason, w.logged.String(), w.api.stored[task.ArtifactLog])
	}
	if w.exit != exitDone {
		w.t.Errorf("exit code %d", w.exit)
	}
}

// applied applies the stored patch with the user's git to a fresh clone, and
// returns its folder.
func (w *world) applied() string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "clone")
	gitIn(w.t, w.repo, "clone", "-q", w.repo, dir)
	gitIn(w.t, dir, "checkout", "-q", w.api.pinned)
	path := filepath.Join(w.t.TempDir(), "patch.diff")
	if err := os.WriteFile(path, w.api.stored[task.ArtifactPatch], 0o600); err != nil {
		w.t.Fatal(err)
	}
	gitIn(w.t, dir, "apply", "--index", path)
	return dir
}

// waitFor waits for a condition, a minute at most.
func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// shell runs a script in a folder; it must succeed.
func (w *world) shell(dir, script string) {
	w.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("%s: %v\n%s", script, err, out)
	}
}
