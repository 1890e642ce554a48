package stack_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/infra/local/recorder"
	"outpost/infra/local/stack"
	"outpost/shared/topology"
)

// evidenceOfOther is what the functions that differ by where tenants' secrets are
// were seen to do with the store that is not the default.
const evidenceOfOther = "testdata/permissions-secretsmanager.txt"

// A whole task with tenants' secrets in Secrets Manager: they are set, listed and
// handed to the worker that needs them, others are forgotten, and no function does
// more, or may do more, than the topology says for this store.
func TestAWholeTaskWithSecretsInSecretsManager(t *testing.T) {
	o := options(t, t.TempDir(), scriptedAgent(t, `grep -q slow a.txt && sleep 120; echo changed >> a.txt`), "http://127.0.0.1:9")
	o.Settings = maps.Clone(o.Settings)
	o.Settings["OUTPOST_SECRET_STORE"] = string(topology.InSecretsManager)
	w := start(t, o)
	repo := repository(t, map[string]string{"a.txt": "a\n"})
	body := map[string]any{"repo": repo, "prompt": "Work.", "verify": "true", "agents": []string{"codex"}}
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack}
	n := newTenant(w, operator, "plover-five")
	missing := n.must(http.StatusUnprocessableEntity, "POST", "/v1/tasks", body)
	if !strings.Contains(string(missing.body), "missing_secret") {
		t.Errorf("without a key: %s", missing.body)
	}
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "the-first-value"})
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "the-key-that-is-used"})
	if list := n.must(http.StatusOK, "GET", "/v1/secrets", nil); !strings.Contains(string(list.body), `"…used"`) {
		t.Errorf("listed are %s", list.body)
	}
	if v := n.completed(n.submit(body).ID); v.Runs[0].State != "succeeded" {
		t.Errorf("the run: %s %s", v.Runs[0].State, v.Runs[0].reason())
	}

	n.must(http.StatusOK, "POST", "/v1/secrets/OPENAI_API_KEY/check", nil)

	// Who reads every file of every service, that of Secrets Manager among them,
	// finds no value.
	held := false
	for path, content := range files(t, o.Dir) {
		search(t, path, content, "the-key-that-is-used", "the-first-value")
		held = held || strings.Contains(content, recorder.TenantSecrets+n.tenant+"/1")
	}
	if !held {
		t.Error("Secrets Manager has nothing of the tenant")
	}

	// By many at once: a busy answer is worth another try, and no other is given.
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Go(func() {
			for {
				a, err := n.call("PUT", "/v1/secrets/"+[]string{"GIT_TOKEN", "XAI_API_KEY"}[i%2], map[int]map[string]any{
					0: {"value": "a-token", "host": "git.example.com"}, 1: {"value": "a-key"}}[i%2])
				if err != nil || a.status != http.StatusServiceUnavailable {
					if a.status != http.StatusNoContent {
						t.Errorf("%d %s %v", a.status, a.body, err)
					}
					return
				}
			}
		})
	}
	wait.Wait()
	for _, name := range []string{"GIT_TOKEN", "XAI_API_KEY"} {
		n.must(http.StatusNoContent, "DELETE", "/v1/secrets/"+name, nil)
		n.must(http.StatusNotFound, "DELETE", "/v1/secrets/"+name, nil)
	}
	n.must(http.StatusNoContent, "DELETE", "/v1/secrets/OPENAI_API_KEY", nil)
	n.must(http.StatusUnprocessableEntity, "POST", "/v1/tasks", body)

	// What a deletion leaves behind by accident the next put deletes.
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "a-value"})
	w.Recorder.Inject(&recorder.Rule{Service: "secretsmanager", Action: "DeleteSecret", Probability: 1, Effect: recorder.Fail, Code: "InternalServiceError", Status: 500})
	n.must(http.StatusNoContent, "DELETE", "/v1/secrets/OPENAI_API_KEY", nil)
	w.Recorder.Inject()
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "a-value"})

	old := usesClosing(w, operator, repository(t, map[string]string{"a.txt": "slow\n"}))
	if err := w.Fire(t.Context(), "audit-export"); err != nil {
		t.Fatal(err)
	}
	w.removes(operator, old)

	used := map[string]bool{}
	for _, f := range topology.Functions {
		if f.Secrets == nil {
			continue
		}
		for _, c := range w.Recorder.Calls() {
			if c.Caller == strings.ReplaceAll(f.Name, "/", "-") {
				for _, p := range c.Needs {
					used[line(f.Name, p)] = true
				}
			}
		}
		for _, p := range f.Of(topology.InSecretsManager).Permissions() {
			if l := line(f.Name, p); !used[l] {
				t.Errorf("allowed and never used: %s", l)
			}
		}
		if !slices.ContainsFunc(f.Of(topology.InSecretsManager).Uses, func(u topology.Use) bool { return u.Resource == topology.TenantSecrets }) ||
			slices.ContainsFunc(f.Of(topology.InSecretsManager).Uses, func(u topology.Use) bool { return u.Resource == topology.Key }) {
			t.Errorf("%s uses %v", f.Name, f.Of(topology.InSecretsManager).Uses)
		}
	}
	got := strings.Join(slices.Sorted(maps.Keys(used)), "\n") + "\n"
	path := filepath.Join(sources, evidenceOfOther)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		t.Errorf("%s is not what was seen (make generate writes it): %v\n%s", evidenceOfOther, err, got)
	}
}

func TestAnUnknownStoreOfSecretsIsNotStarted(t *testing.T) {
	o := options(t, t.TempDir(), t.TempDir(), "")
	o.Settings = map[string]string{"OUTPOST_SECRET_STORE": "drawer"}
	if _, err := stack.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "OUTPOST_SECRET_STORE") {
		t.Errorf("%v", err)
	}
}
