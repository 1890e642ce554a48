// Package git runs git so that nothing a repository or an agent wrote is ever
// executed: with an environment and a configuration of its own, in repositories
// that the worker made, without hooks, file system monitors, filters,
// credential helpers or submodules. Only the URL schemes that the claim allows
// can be fetched from, and whatever is not on this machine through a proxy alone.
package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"outpost/functions/worker/internal/sandbox"
)

// Git runs commands. Its fields do not change while it is used.
type Git struct {
	Path string // PATH, to find git and its own tools
	Dir  string // private folder of the worker, for its configuration; must exist
}

// Call is one command.
type Call struct {
	Args   []string // without "git"
	Repo   string   // GIT_DIR; empty for commands that need none
	Index  string   // GIT_INDEX_FILE; empty for the repository's own
	Tree   string   // GIT_WORK_TREE and where it runs; empty for none
	Stdin  io.Reader
	Stdout io.Writer // nil: Run returns the output, up to maxOutput bytes
	Remote *Remote   // set for commands that talk to a remote
}

// Remote says how a remote may be reached.
type Remote struct {
	Schemes []string // allowed URL schemes: file, and with a proxy http and https
	Proxy   string   // URL of the only way to http and https, with its credential
	Askpass []string // environment that makes git ask this worker for credentials
}

// maxOutput bounds what Run returns, in bytes.
const maxOutput = 1 << 20

// Error is a failed command with the last of what git said.
type Error struct {
	Command string
	Exit    sandbox.Exit
	Stderr  string // the last 4 KiB
}

func (e *Error) Error() string {
	return fmt.Sprintf("git %s: %s: %s", e.Command, e.Exit, e.Line())
}

// Line is the line of git's complaint that says most: the last fatal or error
// line, else the last one.
func (e *Error) Line() string {
	best := ""
	for line := range strings.Lines(e.Stderr) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "fatal: "), strings.HasPrefix(line, "error: "), !complaint(best):
			best = line
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(best, "fatal: "), "error: ")
}

func complaint(line string) bool {
	return strings.HasPrefix(line, "fatal: ") || strings.HasPrefix(line, "error: ")
}

// Run runs a command and returns its output, trimmed, when Stdout is nil. The
// error is an *Error when git failed, or the cause of ctx.
func (g *Git) Run(ctx context.Context, c Call) (string, error) {
	env, err := g.env(c)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	stdout := c.Stdout
	if stdout == nil {
		stdout = &head{buf: &out, left: maxOutput}
	}
	var complaints tail
	dir := g.Dir
	if c.Tree != "" {
		dir = c.Tree
	}
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Args: append([]string{"git"}, c.Args...), Dir: dir, Env: env,
		Stdin: c.Stdin, Stdout: stdout, Stderr: &complaints, Grace: time.Second,
	})
	if err != nil {
		return "", fmt.Errorf("git %s: %w", c.Args[0], err)
	}
	if exit.Code != 0 {
		return "", &Error{Command: c.Args[0], Exit: exit, Stderr: string(complaints)}
	}
	return strings.TrimSpace(out.String()), nil
}

// settings hold over whatever a repository's own configuration says.
var settings = [][2]string{
	{"core.hooksPath", os.DevNull},
	{"core.fsmonitor", "false"},
	{"core.untrackedCache", "false"},
	{"core.attributesFile", os.DevNull},
	{"core.excludesFile", os.DevNull},
	{"core.pager", "cat"},
	{"core.autocrlf", "false"},
	{"core.fileMode", "true"},
	{"core.symlinks", "true"},
	{"core.quotePath", "true"},
	{"core.sshCommand", "false"},
	{"credential.helper", ""},
	{"commit.gpgSign", "false"},
	{"tag.gpgSign", "false"},
	{"submodule.recurse", "false"},
	{"fetch.recurseSubmodules", "false"},
	{"diff.ignoreSubmodules", "all"},
	{"transfer.fsckObjects", "true"},
	// Old repositories have these flaws, which harm nobody.
	{"fetch.fsck.zeroPaddedFilemode", "ignore"},
	{"fetch.fsck.badTimezone", "ignore"},
	{"fetch.fsck.missingSpaceBeforeDate", "ignore"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"advice.detachedHead", "false"},
	{"protocol.allow", "never"},
}

// env is the whole environment of a command.
func (g *Git) env(c Call) ([]string, error) {
	all := append([][2]string(nil), settings...)
	global := os.DevNull
	if c.Remote != nil {
		for _, scheme := range c.Remote.Schemes {
			if scheme != "file" && (c.Remote.Proxy == "" || scheme != "http" && scheme != "https") {
				return nil, fmt.Errorf("git has no way to the scheme %q", scheme)
			}
			all = append(all, [2]string{"protocol." + scheme + ".allow", "always"})
			if scheme == "file" {
				// A repository on this machine may be somebody else's. Only a file can
				// say that to the process that serves the fetch.
				path, err := g.trustOwners()
				if err != nil {
					return nil, err
				}
				global = path
			}
		}
		if c.Remote.Proxy != "" {
			all = append(all, [2]string{"http.proxy", c.Remote.Proxy}, [2]string{"http.proxyAuthMethod", "basic"})
		}
	}
	env := []string{
		"PATH=" + g.Path, "HOME=" + g.Dir, "LC_ALL=C", "TZ=UTC",
		// No repository around the worker's folder has a say, and no host is excepted
		// from the proxy.
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(g.Dir), "no_proxy=", "NO_PROXY=",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + global, "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_LFS_SKIP_SMUDGE=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(all)),
	}
	for i, s := range all {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s[0], "GIT_CONFIG_VALUE_"+n+"="+s[1])
	}
	for name, value := range map[string]string{"GIT_DIR": c.Repo, "GIT_INDEX_FILE": c.Index, "GIT_WORK_TREE": c.Tree} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	if c.Remote != nil {
		env = append(env, c.Remote.Askpass...)
	}
	return env, nil
}

// trustOwners writes the configuration that lets a fetch read repositories of
// other users of this machine.
func (g *Git) trustOwners() (string, error) {
	path := filepath.Join(g.Dir, "fetch.gitconfig")
	if err := os.WriteFile(path, []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		return "", fmt.Errorf("write git's configuration: %w", err)
	}
	return path, nil
}

// head keeps the first bytes and drops the rest.
type head struct {
	buf  *bytes.Buffer
	left int
}

func (h *head) Write(p []byte) (int, error) {
	n := min(h.left, len(p))
	h.buf.Write(p[:n])
	h.left -= n
	return len(p), nil
}

// tail keeps the last 4 KiB.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if extra := len(*t) - 4<<10; extra > 0 {
		*t = append((*t)[:0], (*t)[extra:]...)
	}
	return len(p), nil
}
