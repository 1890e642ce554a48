//go:build e2e

package image_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestE2EAiderIsInstalled(t *testing.T) {
	root := t.TempDir()
	if out, err := run(t, root, context(t), "aider.sh"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pinned := regexp.MustCompile(`(?m)^aider-chat==(\S+) `).FindStringSubmatch(read(t, agentsDir+"requirements.txt"))
	if out := starts(t, root, "aider"); pinned == nil || strings.TrimSpace(out) != "aider "+pinned[1] {
		t.Errorf("pinned: %q, the agent says %q", pinned, out)
	}
	checkSize(t, "aider", size(t, root))
}

func TestE2ETheLintersAreContent(t *testing.T) {
	venv := t.TempDir()
	for _, args := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "lint-requirements.txt"},
		{filepath.Join(venv, "bin/hadolint"), "--no-color", "../Dockerfile"},
		append([]string{filepath.Join(venv, "bin/shellcheck"), "--norc", "--color=never"}, scripts(t)...),
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", filepath.Base(args[0]), err, out)
		}
	}
}
