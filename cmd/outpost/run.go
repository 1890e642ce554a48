package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/compare"
	"outpost/cmd/outpost/internal/live"
	"outpost/shared/task"
)

type runCommand struct {
	Repo       string        `short:"r" required:"" placeholder:"URL" help:"Repository to clone. A path, as in -r ., means the git repository there, for an Outpost on this machine; only what is committed counts."`
	Ref        string        `placeholder:"REF" help:"Branch, tag or commit (default: the repository's default branch)."`
	Agents     []string      `placeholder:"LIST" default:"all" help:"Agents, each with a model if you like: claude,codex:gpt-5. Or all of your plan, the default."`
	Setup      string        `placeholder:"CMD" help:"Shell command that prepares a checkout, as in 'npm ci'."`
	Verify     string        `placeholder:"CMD" help:"Shell command that exits 0 when a patch is good, as in 'npm test'."`
	Timeout    time.Duration `placeholder:"10m" help:"Time for each run (default: the service's, 5m)."`
	Budget     *float64      `placeholder:"USD" help:"What the task may cost at the providers, as in 2.50."`
	Tag        []string      `placeholder:"TAG" sep:"none" help:"Tag of the task. May be repeated."`
	Priority   string        `placeholder:"P" enum:"high,normal,low," default:"" help:"high, normal or low among your own tasks."`
	PromptFile string        `placeholder:"FILE" help:"Read the prompt from a file."`
	once
	JSON   bool   `name:"json" help:"Write the task as one JSON document to stdout at the end."`
	Detach bool   `short:"d" help:"Do not follow: write the task's id and leave."`
	Prompt string `arg:"" optional:"" help:"What the agents are to do; - reads it from stdin."`
}

// Help is the end of outpost run --help.
func (runCommand) Help() string {
	return `Ctrl-C while following says how to cancel; the task goes on. A second one leaves.

` + exitHelp
}

func (c *runCommand) Run(s *session) error {
	submission, err := c.submission(s.stdin)
	if err != nil {
		return err
	}
	key := c.key()
	t, replayed, err := s.api.Create(s.ctx, submission, key)
	if err != nil {
		return s.unsure(err, "the task was submitted", "--idempotency-key "+key)
	}
	if replayed {
		fmt.Fprintf(s.stderr, "This submission was made before: task %s.\n", t.ID)
	}
	if c.Detach {
		return c.detached(s, t)
	}
	if t, err = s.follow(t); err != nil {
		return err
	}
	if c.JSON {
		err = s.writeJSON(t)
	} else {
		err = s.summary(t)
	}
	if err != nil {
		return err
	}
	return verdict(t)
}

func (c *runCommand) detached(s *session, t client.Task) error {
	if c.JSON {
		return s.writeJSON(t)
	}
	_, err := fmt.Fprintln(s.stdout, t.ID)
	return err
}

// submission is the command line as a task.
func (c *runCommand) submission(stdin io.Reader) (client.NewTask, error) {
	repo, err := repository(c.Repo)
	if err != nil {
		return client.NewTask{}, err
	}
	agents, err := parseAgents(c.Agents)
	if err != nil {
		return client.NewTask{}, err
	}
	if c.Timeout < 0 || c.Timeout%time.Second != 0 {
		return client.NewTask{}, usage("--timeout must be whole seconds, as in 90s or 10m")
	}
	n := client.NewTask{
		Repo: repo, Ref: c.Ref, Agents: agents, Setup: c.Setup, Verify: c.Verify,
		TimeoutSeconds: int(c.Timeout / time.Second), Tags: c.Tag, Priority: c.Priority,
	}
	if c.Budget != nil {
		// The API's own smallest budget is a cent; 0 would mean no budget at all.
		if !(*c.Budget >= 0.01) {
			return client.NewTask{}, usage("--budget must be at least 0.01 (US dollars)")
		}
		n.BudgetUSD = *c.Budget
	}
	n.Prompt, err = c.prompt(stdin)
	return n, err
}

// prompt comes from exactly one place.
func (c *runCommand) prompt(stdin io.Reader) (string, error) {
	var text string
	var err error
	switch {
	case c.Prompt != "" && c.PromptFile != "":
		return "", usage("give a prompt or --prompt-file, not both")
	case c.Prompt == "-":
		text, err = readPrompt(stdin)
	case c.PromptFile != "":
		var f *os.File
		if f, err = os.Open(c.PromptFile); err == nil {
			text, err = readPrompt(f)
			f.Close()
		}
	default:
		text = c.Prompt
	}
	switch {
	case err != nil:
		return "", usage("read the prompt: %v", err)
	case strings.TrimSpace(text) == "":
		return "", usage("say what the agents are to do: a PROMPT, --prompt-file FILE, or - for stdin")
	case len(text) > task.MaxPrompt:
		return "", usage("the prompt is larger than %d KiB", task.MaxPrompt>>10)
	case !utf8.ValidString(text):
		return "", usage("the prompt is not UTF-8 text")
	}
	return text, nil
}

func readPrompt(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, task.MaxPrompt+1))
	return string(text), err
}

// summary compares the runs and tells how to get the best patch.
func (s *session) summary(t client.Task) error {
	var b strings.Builder
	for _, line := range compare.Lines(t, live.Colour(s.stdout, s.getenv)) {
		b.WriteString(line + "\n")
	}
	if usd, known := compare.Total(t); usd > 0 && len(t.Runs) > 1 {
		fmt.Fprintf(&b, "Cost by list price: %s", compare.Cost(&usd))
		if !known {
			b.WriteString(" and what the models of unknown price cost")
		}
		b.WriteString(".\n")
	}
	for _, r := range t.Runs {
		if r.ID == t.BestRun {
			fmt.Fprintf(&b, "Best: %s by %s. To apply its patch:  outpost diff %s | git apply\n", r.ID, r.Agent, t.ID)
		}
	}
	_, err := io.WriteString(s.stdout, b.String())
	return err
}

// writeJSON writes one JSON document.
func (s *session) writeJSON(v any) error {
	e := json.NewEncoder(s.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// verdict is the exit code that a completed task deserves.
func verdict(t client.Task) error {
	switch t.Outcome {
	case task.OutcomeSucceeded:
	case task.OutcomeCancelled:
		return &failure{exitCancelled, "the task was cancelled"}
	default:
		return failed("the task failed: no run succeeded")
	}
	if t.Verify == "" {
		return nil
	}
	for _, r := range t.Runs {
		if r.Verify != nil && r.Verify.State == task.VerifyPassed {
			return nil
		}
	}
	return failed("no patch passed the verification")
}
