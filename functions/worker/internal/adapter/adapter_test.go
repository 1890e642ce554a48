package adapter_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"outpost/functions/worker/internal/adapter"
	"outpost/shared/agent"
)

// hostile is a prompt that a shell, an option parser or a settings file could
// take for something else.
const hostile = "--help $(touch /pwned) `id`; \"quoted\" 'single' \\ \n[table]\nkey = 1"

func plain(name string) adapter.Session {
	row, _ := agent.Lookup(name)
	return adapter.Session{
		Agent: name, Model: row.DefaultModel, Prompt: hostile, WorkDir: "/w", HomeDir: "/h", TmpDir: "/t", BinDir: "/b",
		Path: "/usr/bin:/it's/bin", BaseURL: "http://127.0.0.1:1", Key: "dummy",
	}
}

func TestACommandIsCompleteAndHasThePromptInOnePlace(t *testing.T) {
	for _, name := range agent.Names() {
		c, err := adapter.New(plain(name))
		if err != nil {
			t.Fatal(err)
		}
		if c.Args[0] != "/b/"+name || c.Dir != "/w" {
			t.Errorf("%s: starts %s in %s", name, c.Args[0], c.Dir)
		}
		places := 0
		for _, text := range append(slices.Clone(c.Args), c.Env...) {
			if strings.Contains(text, "touch") {
				t.Errorf("%s: the prompt is in an argument or in the environment: %q", name, text)
			}
		}
		if c.Stdin == hostile {
			places++
		}
		for _, f := range c.Files {
			if f.Text == hostile {
				places++
			} else if strings.Contains(f.Text, "touch") {
				t.Errorf("%s: the prompt is in %s", name, f.Path)
			}
			if !strings.HasPrefix(f.Path, "/h/") {
				t.Errorf("%s: writes %s, outside its home", name, f.Path)
			}
		}
		if places != 1 {
			t.Errorf("%s: the prompt is in %d places", name, places)
		}
		for _, want := range []string{"HOME=/h", "TMPDIR=/t", "PATH=/usr/bin:/it's/bin"} {
			if !slices.Contains(c.Env, want) {
				t.Errorf("%s: the environment lacks %s", name, want)
			}
		}
	}
}

func TestSessionsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(s *adapter.Session)
	}{
		{"an unknown agent", func(s *adapter.Session) { s.Agent = "hal" }},
		{"no agent", func(s *adapter.Session) { s.Agent = "" }},
		{"a model that is a flag", func(s *adapter.Session) { s.Model = "--version" }},
		{"another provider's model", func(s *adapter.Session) { s.Model = "gpt-5" }},
		{"no prompt", func(s *adapter.Session) { s.Prompt = "" }},
		{"a prompt that no C program can take", func(s *adapter.Session) { s.Prompt = "a\x00b" }},
		{"a relative folder", func(s *adapter.Session) { s.WorkDir = "work" }},
		{"no home", func(s *adapter.Session) { s.HomeDir = "" }},
		{"a base URL with a path", func(s *adapter.Session) { s.BaseURL += "/v1" }},
		{"no base URL: the CLI would ask its own provider", func(s *adapter.Session) { s.BaseURL = "" }},
		{"no key: the CLI would ask for a login", func(s *adapter.Session) { s.Key = "" }},
		{"a key that is a header and more", func(s *adapter.Session) { s.Key = "a\r\nX: y" }},
		{"no PATH", func(s *adapter.Session) { s.Path = "" }},
	} {
		s := plain("claude")
		c.change(&s)
		if _, err := adapter.New(s); err == nil {
			t.Errorf("%s was accepted", c.why)
		}
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	s := plain("codex")
	s.HomeDir = t.TempDir()
	c, err := adapter.New(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFiles(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.HomeDir, ".codex", "config.toml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestCleanUpRemovesOnlyWhatTheCLILeft(t *testing.T) {
	s, outside := plain("aider"), t.TempDir()
	s.WorkDir = t.TempDir()
	c, err := adapter.New(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CleanUp(); err != nil {
		t.Errorf("with nothing to remove: %v", err)
	}
	write(t, filepath.Join(outside, "kept"), "")
	write(t, filepath.Join(s.WorkDir, "work"), "")
	if err := os.Symlink(outside, filepath.Join(s.WorkDir, c.Leaves[0])); err != nil {
		t.Fatal(err)
	}
	if err := c.CleanUp(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(s.WorkDir, c.Leaves[0])); err == nil {
		t.Error("it is still there")
	}
	for _, path := range []string{filepath.Join(outside, "kept"), filepath.Join(s.WorkDir, "work")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone", filepath.Base(path))
		}
	}
}

func TestAiderAsksTheProviderOfItsModel(t *testing.T) {
	s := plain("aider")
	s.Model = "deepseek-chat"
	c, err := adapter.New(s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(c.Args, "deepseek/deepseek-chat") || !slices.Contains(c.Env, "DEEPSEEK_API_BASE=http://127.0.0.1:1/v1") {
		t.Errorf("%q %q", c.Args, c.Env)
	}
}

func TestInstructionsOfTheRepository(t *testing.T) {
	for _, c := range []struct {
		why  string
		make func(t *testing.T, path string)
		want string // in the prompt, besides the task
	}{
		{"a file", func(t *testing.T, path string) { write(t, path, "Use tabs.") }, "Use tabs."},
		{"a large file is cut", func(t *testing.T, path string) { write(t, path, strings.Repeat("é", 1<<20)) }, "the rest was cut"},
		{"no file", func(*testing.T, string) {}, ""},
		{"an empty file", func(t *testing.T, path string) { write(t, path, "") }, ""},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a pipe that nobody writes", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a link out of the repository", func(t *testing.T, path string) {
			secret := filepath.Join(t.TempDir(), "secret")
			write(t, secret, "the supervisor's")
			if err := os.Symlink(secret, path); err != nil {
				t.Fatal(err)
			}
		}, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			root := t.TempDir()
			c.make(t, filepath.Join(root, "CLAUDE.md"))
			got := adapter.Instructions("claude", root, "Fix it.")
			if !strings.HasSuffix(got, "Fix it.") || !strings.Contains(got, c.want) || len(got) > 33<<10 || (c.want == "" && got != "Fix it.") {
				t.Errorf("the prompt is %d bytes: %.200q", len(got), got)
			}
			if other := adapter.Instructions("codex", root, "Fix it."); other != "Fix it." {
				t.Errorf("codex is told %.100q", other)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
