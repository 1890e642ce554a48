package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"outpost/shared/task"
)

func TestAnAgentsChangesBecomeAVerifiedPatch(t *testing.T) {
	w := newWorld(t)
	w.api.claim.Setup = "touch ready"
	w.api.claim.Verify = "test -f ready && grep -q world README.md && echo verified"
	w.write(".gitignore", "ready\n")
	w.commit("ignore")
	r := w.run("ask; test -f ready && echo world >> README.md && echo new > added.txt")
	w.ended(r, task.Succeeded, "")
	if r.Verify.State != task.VerifyPassed || r.Patch.Files != 2 || r.Patch.Additions != 2 || r.Patch.Deletions != 0 {
		t.Errorf("verify %+v, patch %+v", r.Verify, r.Patch)
	}
	if r.Usage.InputTokens != 1000 || r.Usage.OutputTokens != 200 || r.CostUSD == nil || *r.CostUSD <= 0 {
		t.Errorf("usage %+v, cost %v: want what the provider told", r.Usage, r.CostUSD)
	}
	dir := w.applied()
	if got, err := os.ReadFile(filepath.Join(dir, "README.md")); err != nil || string(got) != "hello\nworld\n" {
		t.Errorf("README.md is %q, %v", got, err)
	}
	if want := []string{"clone", "setup", "agent", "patch", "verify", "upload"}; !slices.Equal(w.api.phases(), want) {
		t.Errorf("phases %v, want %v", w.api.phases(), want)
	}
	for _, name := range []string{task.ArtifactPatch, task.ArtifactLog, task.ArtifactTranscript, task.ArtifactSummary, task.ArtifactVerifyLog} {
		if len(w.api.stored[name]) == 0 {
			t.Errorf("%s was not stored", name)
		}
	}
	if summary := string(w.api.stored[task.ArtifactSummary]); !strings.Contains(summary, "all done") || !strings.Contains(summary, "input tokens: 1000") {
		t.Errorf("summary:\n%s", summary)
	}
}
