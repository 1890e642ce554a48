package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/apitest"
	"outpost/shared/id"
)

// binary is the client as it is built for users.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "outpost-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "outpost")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the client: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// command returns the client, set up for an API, with a home of its own.
func command(t *testing.T, api *apitest.API, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir, "TZ=UTC", "TERM=xterm", "OUTPOST_URL=" + api.URL, "OUTPOST_API_KEY=" + api.Key}
	return cmd
}

type result struct {
	code           int
	stdout, stderr string
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

const repo = "https://git.example.com/acme/shop"

func TestExitCodesTellHowItEnded(t *testing.T) {
	verified := []apitest.Run{{Verify: "failed"}, {Verify: "passed"}}
	problem := func(status int, retry bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"title":"No.","code":"some_code","request_id":"req-9","retryable":%t}`, retry)
			return true
		}
	}
	for _, c := range []struct {
		why    string
		runs   []apitest.Run
		refuse func(http.ResponseWriter, *http.Request) bool
		env    []string
		args   []string
		code   int
		says   string // on stderr
	}{
		{"a success", nil, nil, nil, []string{"run", "-r", repo, "p"}, 0, ""},
		{"one patch passed", verified, nil, nil, []string{"run", "-r", repo, "--verify", "v", "p"}, 0, ""},
		{"no patch passed", verified[:1], nil, nil, []string{"run", "-r", repo, "--agents", "claude", "--verify", "v", "p"}, 1, "no patch passed the verification"},
		{"a failed task", []apitest.Run{{State: "failed", Reason: "no_changes"}}, nil, nil, []string{"run", "-r", repo, "--agents", "claude", "p"}, 1, "no run succeeded"},
		{"a cancelled task", []apitest.Run{{State: "cancelled", Reason: "cancelled"}}, nil, nil, []string{"run", "-r", repo, "--agents", "claude", "p"}, 5, "cancelled"},
		{"no command", nil, nil, nil, nil, 2, "expected one of"},
		{"an unknown flag", nil, nil, nil, []string{"run", "-r", repo, "--no-such", "p"}, 2, "--no-such"},
		{"no prompt", nil, nil, nil, []string{"run", "-r", repo}, 2, "PROMPT"},
		{"an empty prompt", nil, nil, nil, []string{"run", "-r", repo, "  "}, 2, "PROMPT"},
		{"two prompts", nil, nil, nil, []string{"run", "-r", repo, "--prompt-file", "x", "p"}, 2, "not both"},
		{"a prompt file that is not there", nil, nil, nil, []string{"run", "-r", repo, "--prompt-file", "none"}, 2, "none"},
		{"no repository", nil, nil, nil, []string{"run", "p"}, 2, "--repo"},
		{"a path without a repository", nil, nil, nil, []string{"run", "-r", "./none", "p"}, 2, "no repository"},
		{"a timeout of half a second", nil, nil, nil, []string{"run", "-r", repo, "--timeout", "500ms", "p"}, 2, "whole seconds"},
		{"a budget of nothing would be none at all", nil, nil, nil, []string{"run", "-r", repo, "--budget", "0", "p"}, 2, "--budget"},
		{"a budget that is no number", nil, nil, nil, []string{"run", "-r", repo, "--budget", "NaN", "p"}, 2, "--budget"},
		{"an agent without a name", nil, nil, nil, []string{"run", "-r", repo, "--agents", "claude,,codex", "p"}, 2, "--agents"},
		{"a priority that does not exist", nil, nil, nil, []string{"run", "-r", repo, "--priority", "urgent", "p"}, 2, "--priority"},
		{"an id of something else", nil, nil, nil, []string{"get", "ten_x"}, 2, "tsk_"},
		{"no key", nil, nil, []string{"OUTPOST_API_KEY="}, []string{"list"}, 2, "OUTPOST_API_KEY"},
		{"no address", nil, nil, []string{"OUTPOST_URL="}, []string{"list"}, 2, "OUTPOST_URL"},
		{"an address that is none", nil, nil, []string{"OUTPOST_URL=localhost:8080"}, []string{"list"}, 2, "https://host"},
		{"a task that does not exist", nil, nil, nil, []string{"get", "tsk_01JDB5Q6Z00000000000000000"}, 3, "request req-1"},
		{"an agent that does not exist", nil, nil, nil, []string{"run", "-r", repo, "--agents", "nobody", "p"}, 3, "agents/0"},
		{"the gateway refuses the key", nil, problem(403, false), nil, []string{"list"}, 3, "some_code, request req-9"},
		{"the service fails for good", nil, problem(500, false), nil, []string{"list"}, 4, "req-9"},
		{"nobody is there", nil, nil, []string{"OUTPOST_URL=http://127.0.0.1:1"}, []string{"list"}, 4, "cannot be reached"},
		{"nobody takes the task", nil, nil, []string{"OUTPOST_URL=http://127.0.0.1:1"}, []string{"run", "-r", repo, "p"}, 4, "--idempotency-key"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			api := apitest.Start(t, apitest.Script{Runs: c.runs, Refuse: c.refuse})
			cmd := command(t, api, c.args...)
			cmd.Env = append(cmd.Env, c.env...)
			got := finish(t, cmd)
			if got.code != c.code || !strings.Contains(got.stderr, c.says) {
				t.Errorf("exit %d, want %d and %q\n%s%s", got.code, c.code, c.says, got.stdout, got.stderr)
			}
			if strings.Contains(got.stderr, "goroutine") || strings.Contains(got.stdout+got.stderr, api.Key) {
				t.Errorf("a stack trace, or the key:\n%s", got.stderr)
			}
		})
	}
}

func TestEverythingThatIsAskedArrives(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	cmd := command(t, api, "run", "-r", repo, "--ref", "v1", "--agents", "claude,codex:gpt-5", "--setup", "make deps", "--verify", "make test",
		"--timeout", "10m", "--budget", "2.50", "--tag", "a,b", "--tag", "c", "--priority", "high", "--idempotency-key", "once", "--detach", "-")
	cmd.Stdin = strings.NewReader("Fix it.\n")
	got := finish(t, cmd)
	if got.code != 0 || !regexp.MustCompile(`^tsk_[0-9A-Z]{26}\n$`).MatchString(got.stdout) {
		t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	sent := api.Requests()[0]
	want := `{"agents":["claude",{"agent":"codex","model":"gpt-5"}],"budget_usd":2.5,"priority":"high","prompt":"Fix it.\n","ref":"v1",` +
		`"repo":"` + repo + `","setup":"make deps","tags":["a,b","c"],"timeout_seconds":600,"verify":"make test"}`
	if body, err := json.Marshal(sent.Body); err != nil || string(body) != want {
		t.Errorf("sent %s\nwant %s", body, want)
	}
	if sent.Header.Get("Idempotency-Key") != "once" {
		t.Errorf("idempotency key %q", sent.Header.Get("Idempotency-Key"))
	}
}

func TestEachSubmissionHasAKeyOfItsOwn(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	for range 2 {
		finish(t, command(t, api, "run", "-d", "-r", repo, "p"))
	}
	sent := api.Requests()
	a, b := sent[0].Header.Get("Idempotency-Key"), sent[1].Header.Get("Idempotency-Key")
	if len(a) < 20 || a == b {
		t.Errorf("keys %q and %q", a, b)
	}
}

func TestAPathBecomesTheRepositoryAroundIt(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	cmd := command(t, api, "run", "-d", "-r", ".", "p")
	root := filepath.Join(cmd.Dir, "a repository")
	cmd.Dir = filepath.Join(root, "deep", "down")
	if err := os.MkdirAll(cmd.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("git", "init", "-q", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := finish(t, cmd); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	if sent := api.Requests()[0].Body["repo"]; sent != "file://"+strings.ReplaceAll(real, " ", "%20") {
		t.Errorf("sent %v", sent)
	}
}

func TestJSONIsOneDocumentOnStdout(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	got := finish(t, command(t, api, "run", "--json", "-r", repo, "p"))
	d := json.NewDecoder(strings.NewReader(got.stdout))
	var task struct {
		ID, Outcome string
		Setup       *string
		Runs        []struct{ ID string }
	}
	if err := d.Decode(&task); err != nil || task.Outcome != "succeeded" || len(task.Runs) != 3 {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than one document: %s", got.stdout)
	}
	for _, args := range [][]string{{"get", "--json", task.ID}, {"get", "--json", task.Runs[0].ID}, {"list", "--json"}, {"agents", "--json"}} {
		if got := finish(t, command(t, api, args...)); got.code != 0 || !json.Valid([]byte(got.stdout)) {
			t.Errorf("%v: exit %d: %s", args, got.code, got.stdout)
		}
	}
}

func TestWithoutATerminalEachChangeIsALine(t *testing.T) {
	api := apitest.Start(t, apitest.Script{
		Looks:  1,
		Runs:   []apitest.Run{{}, {State: "failed", Reason: "no_changes", Detail: "It said: \x1b[31mnothing\x1b[0m"}},
		Events: []apitest.Event{{Run: 1, Kind: "phase", Text: "clone"}, {Run: 1, Kind: "message", Text: "hello"}, {Run: 2, Kind: "phase", Text: "agent"}},
	})
	got := finish(t, command(t, api, "run", "-r", repo, "--agents", "claude,codex", "p"))
	if strings.Contains(got.stdout+got.stderr, "\x1b") {
		t.Errorf("terminal sequences in a file:\n%q", got.stderr)
	}
	for _, want := range []string{"run 1 (claude) queued\n", "run 1 (claude) running\n", "run 1 (claude) phase: clone\n", "run 2 (codex) phase: agent\n",
		"run 1 (claude) succeeded\n", "run 2 (codex) failed: The agent ended without changing a file."} {
		if strings.Count(got.stderr, want) != 1 {
			t.Errorf("want once %q in\n%s", want, got.stderr)
		}
	}
	for _, want := range []string{"RANK", "1,234", "$0.01", "Cost by list price: $0.02.", "| git apply"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("want %q in\n%s", want, got.stdout)
		}
	}
}

func TestAnAPIThatComesBackIsFollowedOn(t *testing.T) {
	looks := 0
	api := apitest.Start(t, apitest.Script{Refuse: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		looks++
		if looks > 6 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}})
	got := finish(t, command(t, api, "run", "-r", repo, "p"))
	if got.code != 0 || strings.Count(got.stderr, "trying again") != 1 {
		t.Errorf("exit %d:\n%s", got.code, got.stderr)
	}
}

// completed submits a task and waits for its end.
func completed(t *testing.T, api *apitest.API, agents string) (taskID string) {
	t.Helper()
	got := finish(t, command(t, api, "run", "--json", "-r", repo, "--agents", agents, "p"))
	var task struct{ ID string }
	if err := json.Unmarshal([]byte(got.stdout), &task); err != nil {
		t.Fatalf("%v: %s%s", err, got.stdout, got.stderr)
	}
	return task.ID
}

func TestDiffIsThePatchByteForByte(t *testing.T) {
	patch := "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-a\r\n+b\x1b[31m\xff\n+c\n\\ No newline at end of file\n"
	failed := apitest.Run{State: "failed", Reason: "no_changes"}
	api := apitest.Start(t, apitest.Script{Runs: []apitest.Run{failed, {Patch: patch}}})
	taskID := completed(t, api, "claude,codex")
	if got := finish(t, command(t, api, "diff", taskID)); got.code != 0 || got.stdout != patch {
		t.Errorf("best of the task: exit %d: %q %s", got.code, got.stdout, got.stderr)
	}
	if got := finish(t, command(t, api, "diff", id.ForRun(taskID, 2))); got.stdout != patch {
		t.Errorf("of the run: %q %s", got.stdout, got.stderr)
	}
	if got := finish(t, command(t, api, "diff", "--stat", taskID)); !strings.Contains(got.stdout, "x     +2 -1") || !strings.Contains(got.stdout, "1 file, +2 -1") {
		t.Errorf("stat:\n%s%s", got.stdout, got.stderr)
	}
	if got := finish(t, command(t, api, "diff", id.ForRun(taskID, 1))); got.code != 3 || got.stdout != "" {
		t.Errorf("a run without a patch: exit %d: %q", got.code, got.stdout)
	}
	api = apitest.Start(t, apitest.Script{Runs: []apitest.Run{failed}})
	if got := finish(t, command(t, api, "diff", completed(t, api, "claude"))); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "no patch") {
		t.Errorf("a task without a patch: exit %d: %q %s", got.code, got.stdout, got.stderr)
	}
}

func TestLogsTellEveryEventOnce(t *testing.T) {
	var script apitest.Script
	for i := range 5 {
		script.Events = append(script.Events, apitest.Event{Run: 1 + i%2, Kind: "message", Text: fmt.Sprintf("line %d\nand\x1b[2J more", i)})
	}
	api := apitest.Start(t, script)
	taskID := strings.TrimSpace(finish(t, command(t, api, "run", "-d", "-r", repo, "--agents", "claude,codex", "p")).stdout)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"logs", taskID}, 5},
		{[]string{"logs", id.ForRun(taskID, 1)}, 3},
		{[]string{"logs", "-f", id.ForRun(taskID, 2)}, 2},
		{[]string{"logs", "-f", taskID}, 5},
		{[]string{"logs", "--json", taskID}, 5},
	} {
		got := finish(t, command(t, api, c.args...))
		if got.code != 0 || strings.Count(got.stdout, "line ") != c.want || strings.Contains(got.stdout, "\x1b") {
			t.Errorf("%v: exit %d, want %d events:\n%q%s", c.args, got.code, c.want, got.stdout, got.stderr)
		}
	}
	if got := finish(t, command(t, api, "logs", taskID)); !strings.Contains(got.stdout, "10:00:04  2 codex    message  line 1\n          and·[2J more\n") {
		t.Errorf("got\n%s", got.stdout)
	}
}

func TestListGoesOnThroughShortPages(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	for range 5 {
		finish(t, command(t, api, "run", "-d", "-r", repo, "p"))
	}
	for limit, want := range map[string]int{"1": 1, "4": 4, "20": 5} {
		if got := finish(t, command(t, api, "list", "--limit", limit)); strings.Count(got.stdout, "tsk_") != want {
			t.Errorf("limit %s: want %d tasks\n%s%s", limit, want, got.stdout, got.stderr)
		}
	}
}

func TestCancelSaysHowFarItIs(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	taskID := strings.TrimSpace(finish(t, command(t, api, "run", "-d", "-r", repo, "--agents", "claude,codex", "p")).stdout)
	if got := finish(t, command(t, api, "cancel", id.ForRun(taskID, 2))); got.code != 0 || got.stdout != id.ForRun(taskID, 2)+" is being stopped\n" {
		t.Errorf("run: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := finish(t, command(t, api, "cancel", taskID)); got.code != 0 || strings.Count(got.stdout, "is being stopped") != 2 {
		t.Errorf("task: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestHelpAndVersionNeedNoSettings(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"version"}} {
		cmd := exec.Command(binary, args...)
		cmd.Env = []string{}
		if got := finish(t, cmd); got.code != 0 || got.stdout == "" {
			t.Errorf("%v: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestSecretsAreSetFromStdinAlone(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	const value = "a-private-value"
	set := command(t, api, "secrets", "set", "GIT_TOKEN", "--host", "git.example.com")
	set.Stdin = strings.NewReader(value + "\n")
	if got := finish(t, set); got.code != 0 || got.stdout != "GIT_TOKEN is set\n" || strings.Contains(got.stdout+got.stderr, value) {
		t.Errorf("%+v", got)
	}
	if r := api.Requests(); r[0].Body["value"] != value || r[0].Body["host"] != "git.example.com" {
		t.Errorf("asked: %+v", r[0].Body)
	}
	for _, args := range [][]string{{"secrets"}, {"secrets", "list"}, {"secrets", "list", "--json"}} {
		if got := finish(t, command(t, api, args...)); got.code != 0 || !strings.Contains(got.stdout, "GIT_TOKEN") || !strings.Contains(got.stdout, "…last") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := finish(t, command(t, api, "secrets", "rm", "GIT_TOKEN")); got.code != 0 || got.stdout != "GIT_TOKEN is forgotten\n" {
		t.Errorf("%+v", got)
	}
	if got := finish(t, command(t, api, "secrets", "rm", "GIT_TOKEN")); got.code != 3 {
		t.Errorf("twice: %+v", got)
	}
	if got := finish(t, command(t, api, "secrets", "set", "GIT_TOKEN")); got.code != 2 || !strings.Contains(got.stderr, "empty") {
		t.Errorf("nothing on stdin: %+v", got)
	}
	if got := finish(t, command(t, api, "secrets", "set", "GIT_TOKEN", value)); got.code != 2 {
		t.Errorf("a value on the command line: %+v", got)
	}
}

func TestASecretIsChecked(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	for state, code := range map[string]int{"works": 0, "refused": 1, "unknown": 4} {
		set := command(t, api, "secrets", "set", "OPENAI_API_KEY")
		set.Stdin = strings.NewReader(state)
		finish(t, set)
		if got := finish(t, command(t, api, "secrets", "check", "OPENAI_API_KEY")); got.code != code || got.stdout != "OPENAI_API_KEY: "+state+". It said so.\n" || got.stderr != "" {
			t.Errorf("%s: %+v", state, got)
		}
		var found map[string]any
		got := finish(t, command(t, api, "secrets", "check", "OPENAI_API_KEY", "--json"))
		if err := json.Unmarshal([]byte(got.stdout), &found); err != nil || found["state"] != state || got.code != code {
			t.Errorf("%s: %v %+v", state, err, got)
		}
	}
	if got := finish(t, command(t, api, "secrets", "check", "GIT_TOKEN", "-r", "https://git.example.com/a/b")); got.code != 3 {
		t.Errorf("one that is not set: %+v", got)
	}
	requests := api.Requests()
	if last := requests[len(requests)-1]; last.Body["repo"] != "https://git.example.com/a/b" {
		t.Errorf("asked: %+v", last.Body)
	}
	if got := finish(t, command(t, api, "secrets", "check")); got.code != 2 {
		t.Errorf("nothing named: %+v", got)
	}
}

func TestUsageIsShownAndGivenToScripts(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	got := finish(t, command(t, api, "usage"))
	if got.code != 0 || !strings.Contains(got.stdout, "claude") || !strings.Contains(got.stdout, "$4.31") || !strings.Contains(got.stdout, "2026-11-01 to 2026-11-23") ||
		!strings.Contains(got.stderr, "Runs whose cost is not known, and not in these sums: 1.") {
		t.Errorf("%+v", got)
	}
	var u map[string]any
	got = finish(t, command(t, api, "usage", "--by", "day", "--from", "2026-11-01", "--json"))
	if err := json.Unmarshal([]byte(got.stdout), &u); err != nil || u["from"] != "2026-11-01" {
		t.Errorf("%v: %+v", err, got)
	}
	if got := finish(t, command(t, api, "usage", "now")); got.code != 2 {
		t.Errorf("%+v", got)
	}
}

func TestBillingIsShownAndItsPagesAreAnAddressEach(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	for args, shows := range map[string]string{
		"billing":              "enterprise: The enterprise plan becomes the pro plan 1 April 2027 11:00 UTC.\n",
		"billing show":         "enterprise: The enterprise plan becomes the pro plan 1 April 2027 11:00 UTC.\n",
		"billing plan free":    "pro: The pro plan is canceled and ends 1 April 2027 11:00 UTC.\n",
		"billing checkout pro": "https://checkout.stripe.com/c/pay/cs_live_a1b2c3\n",
		"billing portal --return-url https://a.example/": "https://billing.stripe.com/p/session/live_a1b2c3\n",
	} {
		got := finish(t, command(t, api, strings.Fields(args)...))
		if got.code != 0 || got.stdout != shows || got.stderr == "" {
			t.Errorf("%s: %+v", args, got)
		}
		var v map[string]any
		asJSON := finish(t, command(t, api, append(strings.Fields(args), "--json")...))
		if err := json.Unmarshal([]byte(asJSON.stdout), &v); err != nil || asJSON.code != 0 || (v["url"] == nil) == (v["sentence"] == nil) {
			t.Errorf("%s --json: %v, %+v", args, err, asJSON)
		}
	}
	if got := finish(t, command(t, api, "billing", "checkout", "enterprise", "--success-url", "https://a.example/done", "--cancel-url", "https://a.example/")); got.code != 0 {
		t.Errorf("%+v", got)
	}
	last := api.Requests()[len(api.Requests())-1]
	if last.Body["plan"] != "enterprise" || last.Body["success_url"] != "https://a.example/done" || last.Body["cancel_url"] != "https://a.example/" {
		t.Errorf("sent %v", last.Body)
	}
	for _, args := range [][]string{{"billing", "checkout"}, {"billing", "plan"}, {"billing", "portal", "pro"}} {
		if got := finish(t, command(t, api, args...)); got.code != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
