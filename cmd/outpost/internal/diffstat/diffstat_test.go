package diffstat_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/diffstat"
)

// repository returns a function that runs git in a fresh repository, and one
// that writes a file there.
func repository(t *testing.T) (git func(args ...string) []byte, write func(name, text string)) {
	dir := t.TempDir()
	git = func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	write = func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	return git, write
}

// git itself counts the same.
func TestItCountsWhatGitCounts(t *testing.T) {
	git, write := repository(t)
	names := []string{"plain", "with space/a b", `quo"te`, "new\nline", "ümlaut", "deep/er/x", "-- dash"}
	for _, n := range names {
		write(n, "one\n-- two\n++ three\nfour\n")
	}
	write("renamed from", strings.Repeat("line\n", 30))
	write("binary", "\x00\x01")
	write("gone", "a\nb\n")
	write("mode", "x\n")
	git("add", "-A")
	git("commit", "-qm", "before")
	for _, n := range names {
		write(n, "one\n++ three\n-- new\n++ new\nfour\nno newline")
	}
	write("binary", "\x00\x02\x03")
	write("new file", "x\ny\n")
	write("empty", "")
	git("mv", "renamed from", "renamed to")
	git("rm", "-q", "gone")
	git("update-index", "--chmod=+x", "mode")
	git("add", "-A", "--", ".", ":!mode")

	want := map[string]string{}
	fields := bytes.Split(git("diff", "--cached", "--no-renames", "--numstat", "-z"), []byte{0})
	for _, f := range fields[:len(fields)-1] {
		parts := strings.SplitN(string(f), "\t", 3)
		want[parts[2]] = strings.Replace(parts[0]+" "+parts[1], "- -", "binary", 1)
	}
	got := map[string]string{}
	for _, f := range diffstat.Parse(git("diff", "--cached", "--no-renames", "--binary")) {
		got[f.Name] = fmt.Sprintf("%d %d", f.Added, f.Deleted)
		if f.Binary {
			got[f.Name] = "binary"
		}
	}
	if len(want) < 13 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	kinds := map[string]string{}
	for _, f := range diffstat.Parse(git("diff", "--cached", "--find-renames")) {
		kinds[f.Name] = f.Kind
	}
	for name, kind := range map[string]string{"renamed to": "renamed", "gone": "deleted", "new file": "new", "empty": "new", "plain": ""} {
		if kinds[name] != kind {
			t.Errorf("%s is %q, want %q", name, kinds[name], kind)
		}
	}
}

func TestAnythingCanBeParsed(t *testing.T) {
	for _, text := range []string{"", "no patch", "@@ -1 +1 @@\n+x\n", "diff --git ", "diff --git a\n@@\n@@ -x +y @@\n+", "diff --git \"a/\n--- \n+++ \n"} {
		diffstat.Parse([]byte(text))
	}
}
