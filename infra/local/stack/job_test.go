package stack_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/infra/local/agents"
	"outpost/infra/local/provider"
)

// realWorld is Outpost with the real agent CLIs and the scripted provider.
func realWorld(t *testing.T, which ...string) *world {
	t.Helper()
	bin, err := agents.Install(t.Context(), which, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return start(t, options(t, t.TempDir(), bin, p.URL))
}

func TestRealAgentsWorkOnARepositoryThatNobodyPrepared(t *testing.T) {
	w := realWorld(t)
	repo := repository(t, map[string]string{"README.md": "hello\n", "a dir/ü file.txt": "old\n"})
	tk := w.submit(map[string]any{"repo": repo, "agents": []string{"claude", "codex", "gemini", "grok"},
		"prompt": "Write the notes. [write path=NOTES.md]from an agent\n[/write]", "verify": "grep -q 'from an agent' NOTES.md && test -f 'a dir/ü file.txt'"})
	tk = w.completed(tk.ID)
	if *tk.Outcome != "succeeded" || tk.BestRun == nil {
		t.Errorf("outcome %s, best run %v", *tk.Outcome, tk.BestRun)
	}
	for _, r := range tk.Runs {
		if r.State != "succeeded" || r.Verify.State != "passed" || r.Usage.InputTokens == 0 || r.Usage.CostUSD == nil || r.Rank == nil {
			t.Errorf("%s: %+v, reason %v", r.Agent, r, r.Reason)
			continue
		}
		patch := w.must(http.StatusOK, "GET", "/v1/runs/"+r.ID+"/patch", nil)
		clone := filepath.Join(t.TempDir(), "clone")
		git(t, filepath.Dir(clone), "clone", "-q", repo, clone)
		file := filepath.Join(t.TempDir(), "patch")
		if err := os.WriteFile(file, patch.body, 0o600); err != nil {
			t.Fatal(err)
		}
		git(t, clone, "apply", "--check", file)
		git(t, clone, "apply", file)
		if notes, err := os.ReadFile(filepath.Join(clone, "NOTES.md")); err != nil || !strings.Contains(string(notes), "from an agent") {
			t.Errorf("%s: the notes are %q, %v", r.Agent, notes, err)
		}
		events := w.must(http.StatusOK, "GET", "/v1/runs/"+r.ID+"/events", nil)
		for _, phase := range []string{"clone", "agent", "patch", "verify"} {
			if !strings.Contains(string(events.body), `"text":"`+phase+`"`) {
				t.Errorf("%s: no event tells of the phase %s: %s", r.Agent, phase, events.body)
			}
		}
	}
}

// What a provider or an agent does wrong ends in a state and a reason that say
// so, and no key leaves.
func TestEachWayToFailHasItsReason(t *testing.T) {
	w := realWorld(t)
	repo := repository(t, map[string]string{"a.txt": "a\n"})
	cases := []struct{ agent, scenario, state, reason string }{
		{"codex", "no-change", "failed", "no_changes"},
		{"codex", "error-401", "failed", "provider_unauthorized"},
		{"grok", "error-429", "failed", "provider_rate_limited"},
		{"codex", "error-500", "failed", "provider_error"},
		{"codex", "hang", "timed_out", "deadline_exceeded"},
		{"codex", "endless-loop", "timed_out", "deadline_exceeded"},
		{"codex", "write-secret", "", ""},
		{"codex", "print-env", "", ""},
	}
	ids := map[string]string{}
	for _, c := range cases {
		timeout := 60
		if c.state == "timed_out" {
			timeout = 10
		}
		ids[c.scenario] = w.submit(map[string]any{"repo": repo, "agents": []string{c.agent}, "timeout_seconds": timeout,
			"prompt": "Work. [scenario: " + c.scenario + "]"}).ID
	}
	for _, c := range cases {
		tk := w.completed(ids[c.scenario])
		r := tk.Runs[0]
		if c.state != "" && (r.State != c.state || r.reason() != c.reason) {
			t.Errorf("%s: %s %v, want %s %s", c.scenario, r.State, r.Reason, c.state, c.reason)
		}
		for _, path := range []string{"/events", "/patch"} {
			a, err := w.call("GET", "/v1/runs/"+r.ID+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(a.body), "scripted-") {
				t.Errorf("%s: a provider's key is in %s: %s", c.scenario, path, a.body)
			}
		}
	}
}
