package image_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"outpost/shared/agent"
)

// The files that every agent is pinned by.
const agentsDir = "../../../infra/local/agents/"

type lockFile struct {
	Packages map[string]struct {
		Version   string `json:"version"`
		Integrity string `json:"integrity"`
		Engines   struct {
			Node string `json:"node"`
		} `json:"engines"`
	} `json:"packages"`
}

func readLock(t *testing.T) (lock lockFile) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, agentsDir+"lock/package-lock.json")), &lock); err != nil {
		t.Fatal(err)
	}
	return lock
}

func fromNPM() []agent.Agent {
	return slices.DeleteFunc(agent.All(), func(a agent.Agent) bool { return a.Name == "aider" })
}

// context lays the lock files out as the build context has them.
func context(t *testing.T) (locks string) {
	t.Helper()
	locks = t.TempDir()
	for _, path := range []string{"lock/package.json", "lock/package-lock.json", "requirements.txt"} {
		if err := os.WriteFile(filepath.Join(locks, filepath.Base(path)), []byte(read(t, agentsDir+path)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return locks
}

// run runs a script as the Dockerfile does, with root in the place of /.
func run(t *testing.T, root, locks string, argv ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", argv...)
	cmd.Env = append(os.Environ(), "ROOT="+root, "LOCKS="+locks)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// starts runs an agent's --version with nothing in its environment but what it
// cannot do without, and returns what it printed. It fails when the agent had
// to unpack itself first.
func starts(t *testing.T, root, name string) string {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "opt/outpost/agents", name), "--version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s does not start: %v: %s", name, err, out)
	}
	if unpacked := size(t, home); unpacked > 5<<20 {
		t.Errorf("%s wrote %d bytes when it started", name, unpacked)
	}
	return string(out)
}

// size adds up the files of a folder, a file of two names once.
func size(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if inode := info.Sys().(*syscall.Stat_t).Ino; !seen[inode] {
			seen[inode] = true
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// checkSize holds the size in docs/worker-image.md against the measured one.
func checkSize(t *testing.T, name string, measured int64) {
	t.Helper()
	t.Logf("%s as installed: %d bytes", name, measured)
	row := regexp.MustCompile(`(?m)^\| ` + name + ` \| ([0-9,]+) \|`).FindStringSubmatch(read(t, "../../../docs/worker-image.md"))
	if row == nil {
		t.Errorf("docs/worker-image.md has no size of %s; measured: %d", name, measured)
		return
	}
	told, err := strconv.ParseInt(strings.ReplaceAll(row[1], ",", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if off := measured - told; max(off, -off)*100 > 5*told {
		t.Errorf("docs/worker-image.md says that %s has %d bytes; measured: %d", name, told, measured)
	}
}

func TestEachAgentFromNPMIsInstalledAlone(t *testing.T) {
	lock, locks := readLock(t), context(t)
	for _, row := range fromNPM() {
		t.Run(row.Name, func(t *testing.T) {
			root := t.TempDir()
			if out, err := run(t, root, locks, "npm-agent.sh", row.Name, row.Package); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if out, version := starts(t, root, row.Name), lock.Packages["node_modules/"+row.Package].Version; !slices.Contains(strings.Fields(out), version) {
				t.Errorf("the lock file says %s, the agent %q", version, out)
			}
			for _, pattern := range []string{"opt/outpost/agents/*", "opt/outpost/lib/*"} {
				if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) != 1 || filepath.Base(found[0]) != row.Name {
					t.Errorf("%s: %q", pattern, found)
				}
			}
			for _, other := range fromNPM() {
				scope, _, _ := strings.Cut(other.Package, "/")
				_, err := os.Stat(filepath.Join(root, "opt/outpost/lib", row.Name, "node_modules", scope))
				if here := err == nil; here != (other.Name == row.Name) {
					t.Errorf("packages of %s are there: %v", other.Name, here)
				}
			}
			checkSize(t, row.Name, size(t, root))
		})
	}
}

// grok's packages are the smallest that show it.
func TestNothingIsInstalledThatTheLockFileDoesNotPin(t *testing.T) {
	const needed = "node_modules/@iarna/toml"
	for _, c := range []struct {
		name   string
		change func(packages map[string]any)
		want   string
	}{
		{"another hash", func(packages map[string]any) {
			packages[needed].(map[string]any)["integrity"] = "sha512-" + strings.Repeat("A", 86) + "=="
		}, "EINTEGRITY"},
		{"a package that it lacks", func(packages map[string]any) { delete(packages, needed) }, needed + " 3.0.0 is not what the lock file pins"},
	} {
		t.Run(c.name, func(t *testing.T) {
			locks, root := context(t), t.TempDir()
			var lock map[string]any
			path := filepath.Join(locks, "package-lock.json")
			if err := json.Unmarshal([]byte(read(t, path)), &lock); err != nil {
				t.Fatal(err)
			}
			c.change(lock["packages"].(map[string]any))
			changed, err := json.Marshal(lock)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := run(t, root, locks, "npm-agent.sh", "grok", "@xai-official/grok")
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s", err, out)
			}
			if _, err := os.Lstat(filepath.Join(root, "opt/outpost/agents/grok")); err == nil {
				t.Error("it has an executable")
			}
		})
	}
}

func TestAnAgentThatTheLockFileDoesNotNameIsRefused(t *testing.T) {
	out, err := run(t, t.TempDir(), context(t), "npm-agent.sh", "hal", "left-pad")
	if err == nil || !strings.Contains(out, "does not name left-pad") {
		t.Errorf("%v: %s", err, out)
	}
}
