package agents_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outpost/infra/local/agents"
	"outpost/shared/agent"
)

func TestEveryAgentFromNPMIsInstalledAndStarts(t *testing.T) {
	bin, err := agents.Install(t.Context(), nil, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range agents.FromNPM() {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), "--version")
		home := t.TempDir()
		cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`\d+\.\d+\.\d+`).Match(out) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	var said bytes.Buffer
	if again, err := agents.Install(t.Context(), []string{"claude"}, &said); err != nil || again != bin || said.Len() != 0 {
		t.Errorf("the second time: %s, %v, said %q", again, err, said.String())
	}
}

func TestTheLockPinsTheRegistrysPackagesAndNamesNoHost(t *testing.T) {
	raw, err := fs.ReadFile(agents.Lock().Files, "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct {
			Version   string `json:"version"`
			Integrity string `json:"integrity"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		t.Fatal(err)
	}
	for _, name := range agents.FromNPM() {
		row, _ := agent.Lookup(name)
		if p := lock.Packages["node_modules/"+row.Package]; p.Version == "" || p.Integrity == "" {
			t.Errorf("%s: its package %s is not pinned", name, row.Package)
		}
	}
	if bytes.Contains(raw, []byte(`"resolved"`)) || bytes.Contains(raw, []byte("://")) {
		t.Error("the lock file names a host")
	}
	requirements, err := os.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	aider, _ := agent.Lookup("aider")
	for _, line := range strings.Split(strings.TrimSpace(string(requirements)), "\n")[1:] {
		if !regexp.MustCompile(`^[a-z0-9-]+==[0-9a-z.]+( --hash=sha256:[0-9a-f]{64})+$`).MatchString(line) {
			t.Errorf("not pinned by version and hash: %q", line)
		}
	}
	if !strings.Contains(string(requirements), "\n"+aider.Package+"==") {
		t.Errorf("%s is not among the requirements", aider.Package)
	}
}

func TestWhatCannotBeInstalledIsOneSentence(t *testing.T) {
	old := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho v18.19.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ why, path, agent, want string }{
		{"an unknown agent", os.Getenv("PATH"), "hal", `there is no agent "hal" to install`},
		{"no Node", t.TempDir(), "claude", "node is not on the PATH; the agents need Node 20 or newer"},
		{"an old Node", filepath.Dir(old), "claude", "the agents need Node 20 or newer, and this is v18.19.0"},
	} {
		t.Setenv("PATH", c.path)
		if _, err := agents.Install(t.Context(), []string{c.agent}, io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}
