package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"outpost/infra/local/agents"
	"outpost/infra/local/child"
	"outpost/infra/local/demorepo"
	"outpost/infra/local/provider"
	"outpost/infra/local/stack"
)

// demo is one demonstration.
type demo struct {
	dir    string // of its own
	live   bool   // the real providers answer
	getenv func(string) string
	out    io.Writer

	began bool   // Outpost was started: there are logs
	bin   string // folder of the built binaries
	names []string
	env   []string // of the command-line client
}

// run is the demonstration from start to end.
func (d *demo) run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	d.bin = filepath.Dir(self)
	if d.names, err = d.agents(); err != nil {
		return err
	}
	installed, err := d.install(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	s, stop, err := d.start(ctx, installed)
	if err != nil {
		return err
	}
	defer stop()
	go func() {
		select {
		case err := <-s.Failed():
			fail(err)
		case <-ctx.Done():
		}
	}()
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "TERM=" + d.getenv("TERM"), "NO_COLOR=" + d.getenv("NO_COLOR"), "TZ=" + d.getenv("TZ"),
		"HOME=" + d.dir, "OUTPOST_URL=" + s.URL, "OUTPOST_API_KEY=" + s.Demo.APIKey,
	}
	err = d.show(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// start starts an Outpost of this demonstration's own, and who answers for the
// providers.
func (d *demo) start(ctx context.Context, installed string) (*stack.Stack, func(), error) {
	began := time.Now()
	o := stack.Options{
		Dir: filepath.Join(d.dir, "data"), Addr: "127.0.0.1:0", BinDir: d.bin, Agents: installed,
		Secrets: stack.Secrets(d.live, d.getenv), Progress: d.out,
	}
	stopProvider := func() {}
	if !d.live {
		scripted, err := provider.Start()
		if err != nil {
			return nil, nil, err
		}
		stopProvider, o.ProviderURL = scripted.Close, scripted.URL
	}
	d.began = true
	s, err := stack.Start(ctx, o)
	if err != nil {
		stopProvider()
		return nil, nil, err
	}
	d.say("Outpost runs on %s, started in %.1f s. %s", s.URL, time.Since(began).Seconds(), d.whoAnswers())
	return s, func() { s.Stop(); stopProvider() }, nil
}

// show submits the task and puts the best patch to the test.
func (d *demo) show(ctx context.Context) error {
	repo := filepath.Join(d.dir, "repository")
	if err := demorepo.Make(ctx, repo); err != nil {
		return err
	}
	failing, err := d.test(ctx, repo)
	if err == nil {
		return errors.New("the demo repository's test passes before anything was done")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.say("A repository with a bug. Its test, %q, fails:\n\n%s", demorepo.Verify, indent(verdicts(failing)))

	args := []string{"run", "-r", repo, "--agents", strings.Join(d.names, ","), "--verify", demorepo.Verify, "--timeout", "3m", demorepo.Prompt}
	d.say("The task, sent with the command-line client:\n\n  $ outpost %s\n", quoted(args))
	if err := d.client(ctx, d.out, args...); err != nil {
		return err
	}
	var tasks bytes.Buffer
	if err := d.client(ctx, &tasks, "list", "--limit", "1", "--json"); err != nil {
		return err
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(tasks.Bytes(), &list); err != nil || len(list) != 1 {
		return errors.New("the client does not list the task that it submitted")
	}
	var patch bytes.Buffer
	if err := d.client(ctx, &patch, "diff", list[0].ID); err != nil {
		return err
	}
	d.say("The best patch:\n\n  $ outpost diff %s\n\n%s", list[0].ID, indent(patch.String()))
	return d.check(ctx, repo, patch.Bytes())
}

// check applies the patch to a fresh clone and runs the test there.
func (d *demo) check(ctx context.Context, repo string, patch []byte) error {
	clone := filepath.Join(d.dir, "clone")
	if out, err := d.git(ctx, d.dir, nil, "clone", "--quiet", repo, clone); err != nil {
		return fmt.Errorf("clone the demo repository: %w: %s", err, out)
	}
	if out, err := d.git(ctx, clone, patch, "apply"); err != nil {
		return fmt.Errorf("git does not apply the best patch: %w: %s", err, out)
	}
	if out, err := d.test(ctx, clone); err != nil {
		return fmt.Errorf("the test fails with the best patch:\n%s", indent(out))
	}
	d.say("Applied to a fresh clone with git apply: %q passes.", demorepo.Verify)
	return nil
}

// client runs the command-line client with the terminal, in a process group of
// its own: an interrupt is this program's to handle.
func (d *demo) client(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "outpost"), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.env, out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start the command-line client: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("\"outpost %s\" ended with %w", args[0], err)
	}
	return nil
}

// test runs the demonstration's test and returns what it said.
func (d *demo) test(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", demorepo.Verify)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "NO_COLOR=1"}
	return d.output(cmd)
}

func (d *demo) git(ctx context.Context, dir string, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	return d.output(cmd)
}

func (d *demo) output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// install fetches the agents that are missing, after it has said how much that
// is, and returns their folder.
func (d *demo) install(ctx context.Context) (string, error) {
	if err := d.announce(); err != nil {
		return "", err
	}
	return agents.Install(ctx, d.names, d.out)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) whoAnswers() string {
	if d.live {
		return "The real providers answer, with your keys."
	}
	return "The agents are the real CLIs; a script answers in place of their providers."
}

// verdicts are the lines of a test's output that say what passed and what
// failed; all of it, when there is no such line.
func verdicts(output string) string {
	var told []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		for _, mark := range []string{"ok ", "not ok ", "# pass ", "# fail ", "✔ ", "✖ ", "ℹ pass ", "ℹ fail "} {
			if strings.HasPrefix(line, mark) && !slices.Contains(told, line) {
				told = append(told, line)
			}
		}
	}
	if told == nil {
		return output
	}
	return strings.Join(told, "\n")
}

// maxShown is how many lines of a tool's output are shown.
const maxShown = 40

// indent sets a tool's output off; of a long one it shows the beginning.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > maxShown {
		lines = append(lines[:maxShown], fmt.Sprintf("… %d more lines", len(lines)-maxShown))
	}
	return "    " + strings.Join(lines, "\n    ") + "\n"
}

// quoted writes arguments as a shell takes them.
func quoted(args []string) string {
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = a
		if strings.ContainsAny(a, " '\"$&;()") {
			shown[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(shown, " ")
}
