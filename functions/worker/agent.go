package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"outpost/functions/worker/internal/adapter"
	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/outcome"
	"outpost/functions/worker/internal/output"
	"outpost/functions/worker/internal/patch"
	"outpost/functions/worker/internal/proxy"
	"outpost/functions/worker/internal/sandbox"
	"outpost/shared/task"
)

// agentGrace is what an agent gets between TERM and KILL.
const agentGrace = 5 * time.Second

// errHopeless ends an agent that its provider will not serve any more.
var errHopeless = errors.New("the provider proxy gave up")

// agent runs the agent's CLI and judges it. The error is what ended it from
// outside, or a failure to run it at all; what it failed with itself goes to
// the facts.
func (a *attempt) agent(ctx context.Context, tree *checkout.WorkTree) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	gate, err := proxy.Start(proxy.Config{
		Provider: a.claim.Provider, Model: a.claim.Model, BudgetUSD: a.claim.BudgetUSD, SpentUSD: a.claim.SpentUSD, Scrubber: a.scrubber,
		Stop: func() { giveUp(errHopeless) },
	})
	if err != nil {
		return err
	}
	defer gate.Close()
	a.gate.Store(gate)
	log, transcript, err := a.logs()
	if err != nil {
		return err
	}
	command, err := adapter.New(adapter.Session{
		Agent: a.claim.Agent, Model: a.claim.Model, Prompt: adapter.Instructions(a.claim.Agent, tree.Dir, a.claim.Prompt),
		WorkDir: tree.Dir, HomeDir: a.dir.home, TmpDir: a.dir.tmp, BinDir: a.Agents, Path: a.Path,
		BaseURL: gate.URL(), Key: gate.Key(), // the proxy holds the budget, for all agents alike
	})
	if err != nil {
		return err
	}
	if err := command.WriteFiles(); err != nil {
		return err
	}
	reader := adapter.NewReader(a.claim.Agent, func(e adapter.Event) {
		_, _ = fmt.Fprintf(log, "%s %s: %s\n", a.Clock.Now().Format(time.RFC3339), e.Kind, e.Text) // told by its Close
		a.events.Emit(e.Kind, e.Text)
	})
	reader.Dir = tree.Dir
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Args: command.Args, Dir: command.Dir, Env: command.Env, Stdin: strings.NewReader(command.Stdin),
		Stdout: io.MultiWriter(transcript, reader.Stdout()), Stderr: reader.Stderr(), Grace: agentGrace,
	})
	_ = gate.Close() // so that answers under way are counted
	summary := reader.Summary(exit.Code)
	a.account(gate, summary)
	a.facts.Provider = gate.LastFailure()
	if err := command.CleanUp(); err != nil {
		return err
	}
	switch {
	case errors.Is(err, errHopeless):
		a.facts.AgentError = gate.Verdict()
	case errors.Is(err, sandbox.ErrNotStarted):
		return fmt.Errorf("%s: %w", a.claim.Agent, err)
	case err != nil:
		return err
	default:
		a.facts.AgentError = judge(summary, exit, gate.LastFailure())
	}
	return a.summarize(summary, exit)
}

// logs creates the agent's log and transcript.
func (a *attempt) logs() (log, transcript *output.File, err error) {
	if log, err = a.outputs.Create(task.ArtifactLog, task.MaxLog, output.Cut); err != nil {
		return nil, nil, err
	}
	transcript, err = a.outputs.Create(task.ArtifactTranscript, task.MaxLog, output.CutJSON)
	return log, transcript, err
}

// judge tells what an agent that ended by itself failed with; nil when it says
// that it succeeded. A provider that refused its last call is the better reason.
func judge(s adapter.Summary, exit sandbox.Exit, provider *outcome.Failure) *outcome.Failure {
	if !s.IsError && exit == (sandbox.Exit{}) {
		return nil
	}
	if provider != nil {
		return provider
	}
	detail := s.ErrorText
	switch {
	case s.TurnLimit:
		detail = "it reached its limit of turns"
	case detail == "":
		detail = exit.String()
	}
	return &outcome.Failure{Reason: task.ReasonAgentFailed, Detail: detail}
}

// account takes tokens and cost from the provider's answers, or from the agent
// when no answer told any.
func (a *attempt) account(gate *proxy.Proxy, s adapter.Summary) {
	a.result.Usage, a.result.CostUSD = gate.Usage()
	if a.result.Usage.InputTokens+a.result.Usage.OutputTokens == 0 && s.Usage.InputTokens+s.Usage.OutputTokens > 0 {
		a.result.Usage, a.result.CostUSD = s.Usage, s.CostUSD
	}
}

// summarize writes what the agent said last, with the figures.
func (a *attempt) summarize(s adapter.Summary, exit sandbox.Exit) error {
	file, err := a.outputs.Create(task.ArtifactSummary, task.MaxLog, output.Cut)
	if err != nil {
		return err
	}
	said := strings.TrimSpace(s.FinalMessage)
	if said == "" {
		said = "The agent ended without a message."
	}
	cost := "unknown"
	if c := a.result.CostUSD; c != nil {
		cost = fmt.Sprintf("%.4f USD at list prices", *c)
	}
	u := a.result.Usage
	_, err = fmt.Fprintf(file, "# %s, %s\n\n%s\n\n- end: %s\n- input tokens: %d, from the cache: %d\n- output tokens: %d\n- cost: %s\n",
		a.claim.Agent, a.claim.Model, said, exit, u.InputTokens, u.CachedInputTokens, u.OutputTokens, cost)
	return err
}

// made is a patch, and the repository that has its tree.
type made struct {
	repo  *checkout.Repository
	patch *patch.Patch
}

// patch saves the agent's changes; nil when there are none.
func (a *attempt) patch(ctx context.Context, fetched *checkout.Repository, tree *checkout.WorkTree) (*made, error) {
	repo, err := fetched.Renew(ctx, a.dir.git+"/renewed")
	if err != nil {
		return nil, err
	}
	// A name in the place of a secret may be the longer one.
	file, err := a.outputs.Create(task.ArtifactPatch, 2*task.MaxPatch, output.Cut)
	if err != nil {
		return nil, err
	}
	maker := &patch.Maker{Repo: repo, Scrubber: a.scrubber}
	p, err := maker.Make(ctx, tree, file)
	if err == nil && file.Dropped() > 0 {
		err = outcome.Fail(task.ReasonPatchTooLarge, "")
	}
	if err != nil || p == nil {
		a.outputs.Drop(file)
		return nil, err
	}
	a.facts.Changed = true
	a.result.Patch = p.Stat
	return &made{repo: repo, patch: p}, nil
}
