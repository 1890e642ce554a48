package demorepo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"outpost/infra/local/demorepo"
	"outpost/shared/agent"
)

// verify tells whether the repository's own tests pass.
func verify(t *testing.T, dir string) (passed bool, output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", demorepo.Verify)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

func TestTheTestsFailAndPassWithEveryAgentsFix(t *testing.T) {
	for _, answer := range append(agent.Names(), "", demorepo.Wrong) {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "paging")
			if err := demorepo.Make(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			if answer == "" { // as it is made
				if passed, out := verify(t, dir); passed {
					t.Fatalf("the unchanged repository passes its tests:\n%s", out)
				}
				return
			}
			for _, f := range demorepo.Fix(answer) {
				if f.Before == f.After {
					t.Errorf("%s is not changed", f.Path)
				}
				if err := os.WriteFile(filepath.Join(dir, f.Path), []byte(f.After), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if passed, out := verify(t, dir); passed != (answer != demorepo.Wrong) {
				t.Fatalf("tests pass: %v\n%s", passed, out)
			}
		})
	}
}

func TestEachMakingIsTheSameCommit(t *testing.T) {
	var commits []string
	for range 2 {
		dir := filepath.Join(t.TempDir(), "paging")
		if err := demorepo.Make(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "rev-parse", "HEAD").Output()
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, string(out))
	}
	if commits[0] != commits[1] {
		t.Errorf("%q and %q", commits[0], commits[1])
	}
}

func TestMakeRefusesAFolderThatHoldsTheFiles(t *testing.T) {
	dir := t.TempDir()
	if err := demorepo.Make(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := demorepo.Make(t.Context(), dir); err == nil {
		t.Error("a repository was made over another")
	}
}
