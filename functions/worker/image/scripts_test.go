package image_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryScriptStopsAtItsFirstError(t *testing.T) {
	for _, name := range scripts(t) {
		for _, shell := range []string{"sh", "bash"} {
			if out, err := exec.CommandContext(t.Context(), shell, "-n", name).CombinedOutput(); err != nil {
				t.Errorf("%s -n %s: %v: %s", shell, name, err, out)
			}
		}
		text := read(t, name)
		if !regexp.MustCompile(`\A#!/bin/sh\n(#.*\n)+set -eu\n`).MatchString(text) {
			t.Errorf("%s does not begin with #!/bin/sh, what it is for, and set -eu", name)
		}
		if strings.Contains(text, "://") {
			t.Errorf("%s names a host", name)
		}
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestTheUsersCannotLogInAndNothingIsSetuid(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\n", 0o644)
	su := filepath.Join(root, "usr/bin/su")
	write(t, su, "", 0o755|os.ModeSetuid|os.ModeSetgid)
	if out, err := run(t, root, "", "users.sh"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := read(t, filepath.Join(root, "etc/passwd")); got != `root:x:0:0:root:/root:/bin/bash
agent:*:10001:10001::/nonexistent:/usr/sbin/nologin
verify:*:10002:10002::/nonexistent:/usr/sbin/nologin
` {
		t.Errorf("passwd: %s", got)
	}
	if got := read(t, filepath.Join(root, "etc/group")); got != "root:x:0:\nagent:*:10001:\nverify:*:10002:\n" {
		t.Errorf("group: %s", got)
	}
	for path, want := range map[string]os.FileMode{su: 0o755, filepath.Join(root, "work"): 0o711 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// What is left of Go builds a test and runs it.
func TestTheTrimmedGoBuildsAndTests(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot, root := strings.TrimSpace(string(out)), t.TempDir()
	trimmed := filepath.Join(root, "usr/local/go")
	// Links but for bin: Go finds its folder by its executable's place.
	if err := os.CopyFS(filepath.Join(trimmed, "bin"), os.DirFS(filepath.Join(goroot, "bin"))); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(goroot)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "bin" {
			if err := os.Symlink(filepath.Join(goroot, e.Name()), filepath.Join(trimmed, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := run(t, root, "", "go.sh"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, gone := range []string{"test", "api", "doc", "misc"} {
		if _, err := os.Lstat(filepath.Join(trimmed, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	module := t.TempDir()
	write(t, filepath.Join(module, "go.mod"), "module tried\n", 0o644)
	write(t, filepath.Join(module, "one_test.go"), "package tried\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestOne(*testing.T) { os.Stdout.WriteString(\"it ran\\n\") }\n", 0o644)
	cmd := exec.CommandContext(t.Context(), filepath.Join(trimmed, "bin/go"), "test", "-v", ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOROOT="+trimmed, "GOFLAGS=", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "it ran") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestNPMIsLinkedBesideNode(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "npm", "root", "--global").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, dir := range []string{"usr/local/bin", "usr/local/lib/node_modules"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(strings.TrimSpace(string(out)), "npm"), filepath.Join(root, "usr/local/lib/node_modules/npm")); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, root, "", "npm.sh"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"npm", "npx"} {
		if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "usr/local/bin", name), "--version").Output(); err != nil || !regexp.MustCompile(`^\d+\.\d+\.\d+\n$`).Match(out) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
