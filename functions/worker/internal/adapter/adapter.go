// Package adapter knows how each agent's CLI is driven and read: a row an agent
// (driver) that turns a Session into a Command, and its output into events and
// a Summary. Nothing here starts a process, and nothing is ever a shell string.
//
// What the rows have in common: the CLI gets a complete environment (nothing is
// inherited), a home of its own where its settings are, the address of the
// provider proxy and a key that is worth nothing there, a prompt that no shell
// and no option parser sees, and a stdin that ends. Whether it did its work is
// told by its output, never by exit status 0 alone.
package adapter

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"outpost/shared/agent"
)

// Session is one run of one agent's CLI. All folders are absolute paths that
// exist.
type Session struct {
	Agent  string // name in the registry
	Model  string
	Prompt string // see Instructions for what belongs in front of it

	WorkDir string // the checkout that the agent may change
	HomeDir string // of this run alone, empty: HOME and every state folder
	TmpDir  string // of this run alone, writable
	BinDir  string // holds an executable an agent, by the agent's name
	Path    string // PATH of the agent and of the commands it runs; must lead to node

	BaseURL string // of the provider proxy: scheme and host, http://127.0.0.1:port
	Key     string // what the proxy wants to see; never the real key

	MaxTurns  int     // 0 means the registry's
	BudgetUSD float64 // 0 means none; only claude knows it, the proxy holds it for all
}

// Command is a CLI ready to start: write its Files first, give it Stdin and
// then the end of file, feed a Reader with what it prints.
type Command struct {
	Args  []string // Args[0] is the executable's path
	Dir   string
	Env   []string // complete
	Stdin string   // may be empty; stdin must end after it
	Files []File
	// Leaves names what the CLI leaves at the checkout's root that is no work of
	// the agent's; see CleanUp.
	Leaves []string
}

// File is a file that the CLI reads its settings or its prompt from.
type File struct {
	Path string // absolute, in the session's home
	Text string
}

// driver is how one agent's CLI is driven and read.
type driver struct {
	// fill completes a command that has its executable, folder and the
	// environment which all agents share.
	fill func(s Session, c *Command)
	// lines returns what reads one line of the CLI's standard output.
	lines func(o *output) func(line []byte)
}

var drivers = map[string]driver{
	"claude": {claudeCommand, claudeLines},
	"codex":  {codexCommand, codexLines},
	"gemini": {geminiCommand, geminiLines},
	"grok":   {grokCommand, grokLines},
	"aider":  {aiderCommand, aiderLines},
}

// New returns the command of a session. Its error says which part of the
// session cannot be used; it is a fault of the caller, not of the tenant,
// except for the model.
func New(s Session) (Command, error) {
	row, known := agent.Lookup(s.Agent)
	d, driven := drivers[s.Agent]
	if !known || !driven {
		return Command{}, fmt.Errorf("there is no agent %q", s.Agent)
	}
	if _, err := row.Provider(s.Model); err != nil {
		return Command{}, err
	}
	if err := s.check(); err != nil {
		return Command{}, fmt.Errorf("cannot drive %s: %w", s.Agent, err)
	}
	if s.MaxTurns == 0 {
		s.MaxTurns = row.MaxTurns
	}
	c := Command{
		Args: []string{filepath.Join(s.BinDir, s.Agent)},
		Dir:  s.WorkDir,
		Env: []string{
			"HOME=" + s.HomeDir, "TMPDIR=" + s.TmpDir, "PATH=" + s.Path,
			"LANG=C.UTF-8", "TERM=xterm-256color", "NO_COLOR=1", "CI=1",
			"GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat", "PAGER=cat",
		},
	}
	d.fill(s, &c)
	return c, nil
}

func (s Session) check() error {
	for name, dir := range map[string]string{"work": s.WorkDir, "home": s.HomeDir, "tmp": s.TmpDir, "bin": s.BinDir} {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("its %s folder is no absolute path", name)
		}
	}
	u, err := url.Parse(s.BaseURL)
	if err != nil || u.Host == "" || u.Path != "" {
		return errors.New("the provider's base URL needs a scheme and a host, and no path")
	}
	switch {
	case s.Prompt == "":
		return errors.New("the prompt is empty")
	case strings.ContainsAny(s.Prompt, "\x00"):
		return errors.New("the prompt has a NUL")
	case s.Key == "" || strings.ContainsAny(s.Key, "\x00\n\r"):
		return errors.New("the key for the proxy is empty or has a line break")
	case s.Path == "" || strings.ContainsAny(s.Path, "\x00"):
		return errors.New("PATH is empty")
	}
	return nil
}

// WriteFiles writes the command's files, readable to their owner alone.
func (c Command) WriteFiles() error {
	for _, f := range c.Files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			return fmt.Errorf("make the folder of an agent's settings: %w", err)
		}
		if err := os.WriteFile(f.Path, []byte(f.Text), 0o600); err != nil {
			return fmt.Errorf("write an agent's settings: %w", err)
		}
	}
	return nil
}

// CleanUp removes what the CLI left in the checkout, once it has ended, so that
// it does not become a part of the patch. It follows no link out of there.
func (c Command) CleanUp() error {
	if len(c.Leaves) == 0 {
		return nil
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("clean up after an agent: %w", err)
	}
	defer root.Close()
	for _, name := range c.Leaves {
		if err := root.RemoveAll(name); err != nil {
			return fmt.Errorf("clean up after an agent: %w", err)
		}
	}
	return nil
}

func (c *Command) args(args ...string)    { c.Args = append(c.Args, args...) }
func (c *Command) env(vars ...string)     { c.Env = append(c.Env, vars...) }
func (c *Command) file(path, text string) { c.Files = append(c.Files, File{path, text}) }
func (s Session) home(elem ...string) string {
	return filepath.Join(slices.Concat([]string{s.HomeDir}, elem)...)
}
