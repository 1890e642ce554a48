package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/shared/task"
)

func TestEveryEndHasItsReason(t *testing.T) {
	for _, c := range []struct {
		why    string
		given  func(w *world)
		script string
		state  task.State
		reason task.Reason
		detail string // part of it
		patch  bool
	}{
		{why: "an agent that exits 0 and changed nothing has not succeeded",
			script: "ask", state: task.Failed, reason: task.ReasonNoChanges},
		{why: "an agent that fails has failed, and its patch is kept",
			script: "echo x > new; exit 3", state: task.Failed, reason: task.ReasonAgentFailed, patch: true},
		{why: "an agent that undoes its change has changed nothing",
			script: "echo x > new; rm new; touch README.md", state: task.Failed, reason: task.ReasonNoChanges},
		{why: "what .gitignore names is no change", given: func(w *world) { w.write(".gitignore", "*.log\n"); w.commit("ignore") },
			script: "echo x > a.log", state: task.Failed, reason: task.ReasonNoChanges},
		{why: "no key, no agent", given: func(w *world) { w.api.claim.Provider.Key = "" },
			script: "echo x > new", state: task.Failed, reason: task.ReasonSecretMissing, detail: "ANTHROPIC_API_KEY"},
		{why: "no such repository", given: func(w *world) { w.api.claim.Checkout.Repo += "-not-there" },
			state: task.Failed, reason: task.ReasonRepositoryUnavailable},
		{why: "a scheme that is not allowed", given: func(w *world) { w.api.claim.Checkout.Schemes = []string{"https"} },
			state: task.Failed, reason: task.ReasonRepositoryUnavailable, detail: "file"},
		{why: "credentials in the URL", given: func(w *world) {
			w.api.claim.Checkout.Repo, w.api.claim.Checkout.Schemes = "https://user:pass@example.com/a/b", []string{"https"}
		}, state: task.Failed, reason: task.ReasonRepositoryUnavailable, detail: "credentials"},
		{why: "an external transport is none of the schemes", given: func(w *world) { w.api.claim.Checkout.Repo = "ext::sh -c touch% /tmp/pwned" },
			state: task.Failed, reason: task.ReasonRepositoryUnavailable},
		{why: "a repository without a commit", given: func(w *world) {
			w.repo = w.t.TempDir()
			w.git("init", "-q")
			w.api.claim.Checkout.Repo = "file://" + w.repo
		}, state: task.Failed, reason: task.ReasonRepositoryEmpty},
		{why: "no such branch", given: func(w *world) { w.api.claim.Checkout.Ref = "no-such" },
			state: task.Failed, reason: task.ReasonRefNotFound, detail: "no-such"},
		{why: "no such commit", given: func(w *world) { w.api.claim.Checkout.Ref = strings.Repeat("ab", 20) },
			state: task.Failed, reason: task.ReasonRefNotFound},
		{why: "a ref is no option", given: func(w *world) { w.api.claim.Checkout.Ref = "--upload-pack=touch pwned" },
			state: task.Failed, reason: task.ReasonRefNotFound},
		{why: "a failing setup", given: func(w *world) { w.api.claim.Setup = "echo no compiler; exit 4" },
			state: task.Failed, reason: task.ReasonSetupFailed, detail: "exit code 4"},
		{why: "the provider refuses the key", given: func(w *world) { w.provider = answers(401, "invalid x-api-key "+providerKey) },
			script: "ask; exit 1", state: task.Failed, reason: task.ReasonProviderUnauthorized, detail: "[redacted:ANTHROPIC_API_KEY]"},
		{why: "an agent that goes on asking with a refused key is stopped", given: func(w *world) { w.provider = answers(401, "no") },
			script: "while :; do ask; done", state: task.Failed, reason: task.ReasonProviderUnauthorized},
		{why: "the provider's rate limit", given: func(w *world) { w.provider = answers(429, "slow down") },
			script: "ask; exit 1", state: task.Failed, reason: task.ReasonProviderRateLimited, detail: "slow down"},
		{why: "the provider's error", given: func(w *world) { w.provider = answers(529, "overloaded") },
			script: "ask; exit 1", state: task.Failed, reason: task.ReasonProviderError, detail: "529"},
		{why: "an agent that calls a provider's error a success", given: func(w *world) { w.provider = answers(500, "oops") },
			script: "ask", state: task.Failed, reason: task.ReasonProviderError},
		{why: "a provider's error that the agent got over does not matter", given: func(w *world) { w.provider = answers(500, "oops") },
			script: "ask; echo x > new", state: task.Succeeded, patch: true},
		{why: "the provider is not there", given: func(w *world) { w.api.claim.Provider.BaseURL = "http://" + deadAddress(w.t) },
			script: "ask; exit 1", state: task.Failed, reason: task.ReasonProviderUnreachable},
		{why: "an agent that waits for an unreachable provider for ever is stopped", given: func(w *world) { w.api.claim.Provider.BaseURL = "http://" + deadAddress(w.t) },
			script: "while :; do ask; done", state: task.Failed, reason: task.ReasonProviderUnreachable},
		{why: "the budget ends the run, with what there is", given: func(w *world) { w.api.claim.BudgetUSD = 0.005 },
			script: "echo x > new; while :; do ask; done", state: task.Failed, reason: task.ReasonBudgetExceeded, patch: true},
		{why: "what earlier attempts spent is taken off the budget", given: func(w *world) { w.api.claim.BudgetUSD, w.api.claim.SpentUSD = 5, 4.995 },
			script: "echo x > new; ask; sleep 60", state: task.Failed, reason: task.ReasonBudgetExceeded, patch: true},
		{why: "the agent is not installed", given: func(w *world) { w.settings.Agents = w.t.TempDir() },
			state: task.Failed, reason: task.ReasonWorkerFailed, detail: "claude"},
		{why: "a patch of 50 MB", script: "head -c 52428800 /dev/urandom > big",
			state: task.Failed, reason: task.ReasonPatchTooLarge},
		{why: "two sparse gigabytes are not even read", script: "truncate -s 2G big",
			state: task.Failed, reason: task.ReasonPatchTooLarge},
		{why: "the agent put a link in the place of its work tree", script: `dir=$PWD; cd ..; mkdir other; mv "$dir" moved; ln -s other "$dir"`,
			state: task.Failed, reason: task.ReasonPatchInvalid},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t)
			if c.given != nil {
				c.given(w)
			}
			r := w.run(c.script)
			w.ended(r, c.state, c.reason)
			if !strings.Contains(r.Detail, c.detail) || strings.Contains(r.Detail, w.settings.Scratch) {
				t.Errorf("detail %q, want it to tell %q and no path of the worker", r.Detail, c.detail)
			}
			if _, stored := w.api.stored[task.ArtifactPatch]; stored != c.patch || (r.Patch.Files > 0) != c.patch {
				t.Errorf("patch stored: %v, told: %+v; want %v", stored, r.Patch, c.patch)
			}
		})
	}
}

// answers is a provider that always answers an error.
func answers(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"error","error":{"message":%q}}`, text)
	}
}

// deadAddress is an address where nobody listens.
func deadAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAFailedVerificationLeavesASuccess(t *testing.T) {
	w := newWorld(t)
	w.api.claim.Verify = "echo not good; exit 5"
	r := w.run("echo x > new")
	w.ended(r, task.Succeeded, "")
	if r.Verify != (task.Verify{State: task.VerifyFailed, ExitCode: 5}) {
		t.Errorf("verify %+v", r.Verify)
	}
	if log := string(w.api.stored[task.ArtifactVerifyLog]); !strings.Contains(log, "not good") {
		t.Errorf("verify.log:\n%s", log)
	}
}

func TestTheFirstRunsCommitIsUsed(t *testing.T) {
	w := newWorld(t)
	first := w.git("rev-parse", "HEAD")
	w.write("README.md", "newer\n")
	w.commit("second")
	w.api.pinned = first
	w.ended(w.run("cat README.md > copy"), task.Succeeded, "")
	if got, err := os.ReadFile(filepath.Join(w.applied(), "copy")); err != nil || string(got) != "hello\n" {
		t.Errorf("the agent saw %q, %v", got, err)
	}
}

func TestRefsOfEveryKind(t *testing.T) {
	for _, c := range []struct{ why, ref string }{
		{"a branch", "feature/x"}, {"a branch by its whole name", "refs/heads/feature/x"}, {"a tag", "v1"}, {"an annotated tag", "v1-annotated"},
		{"a commit", "FULL"}, {"an abbreviated commit", "SHORT"}, {"the default branch", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t)
			w.git("checkout", "-q", "-b", "feature/x")
			w.write("README.md", "feature\n")
			commit := w.commit("feature")
			w.git("tag", "v1")
			w.git("tag", "-a", "-m", "m", "v1-annotated")
			w.git("checkout", "-q", "main")
			want := "feature\n"
			if c.ref == "" {
				want = "hello\n"
			}
			w.api.claim.Checkout.Ref = strings.NewReplacer("FULL", commit, "SHORT", commit[:7]).Replace(c.ref)
			w.ended(w.run("cat README.md > copy; git log --oneline | head -1"), task.Succeeded, "")
			if got, err := os.ReadFile(filepath.Join(w.applied(), "copy")); err != nil || string(got) != want {
				t.Errorf("the agent saw %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestAFloodOfOutputIsCutWithAMark(t *testing.T) {
	w := newWorld(t)
	r := w.run("echo x > new; yes 'a line of an endless log' | head -c 30000000; head -c 1073741824 /dev/zero")
	w.ended(r, task.Succeeded, "")
	for _, name := range []string{task.ArtifactLog, task.ArtifactTranscript} {
		if size := len(w.api.stored[name]); size < 1<<20 || size > task.MaxLog+2<<10 {
			t.Errorf("%s has %d bytes", name, size)
		}
	}
	if !strings.Contains(string(w.api.stored[task.ArtifactTranscript]), `"outpost":"cut"`) {
		t.Error("the cut is not marked")
	}
	last := w.api.events[len(w.api.events)-1]
	if len(w.api.events) != task.MaxRunEvents || last.Kind != task.EventCut {
		t.Errorf("%d events, the last of kind %s", len(w.api.events), last.Kind)
	}
}

func TestTheProviderSeesTheKeyAndTheAgentDoesNot(t *testing.T) {
	w := newWorld(t)
	var seen []string
	w.provider = func(rw http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("X-Api-Key"))
		_, _ = io.WriteString(rw, `{}`)
	}
	// All that a process of this user can read of others goes into the patch.
	w.ended(w.run(`ask; { env; cat "$HOME"/.* ../git/* ../*/* 2>/dev/null; } > seen.txt; true`), task.Succeeded, "")
	if len(seen) != 1 || seen[0] != providerKey {
		t.Errorf("the provider saw keys %q", seen)
	}
	if patch := string(w.api.stored[task.ArtifactPatch]); strings.Contains(patch, "[redacted:") || !strings.Contains(patch, "ANTHROPIC_API_KEY") {
		t.Errorf("the agent could read a secret:\n%s", patch)
	}
}

func TestASecretThatTheAgentWroteIsTakenOut(t *testing.T) {
	w := newWorld(t)
	w.ended(w.run("echo 'key="+providerKey+"' > leak.txt; echo "+providerKey), task.Succeeded, "")
	if got, err := os.ReadFile(filepath.Join(w.applied(), "leak.txt")); err != nil || string(got) != "key=[redacted:ANTHROPIC_API_KEY]\n" {
		t.Errorf("leak.txt is %q, %v", got, err)
	}
}

func TestASecretInABinaryFileIsNoPatch(t *testing.T) {
	w := newWorld(t)
	r := w.run("printf 'a\\0b" + providerKey + "' > leak.bin")
	w.ended(r, task.Failed, task.ReasonPatchInvalid)
}
