package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/functions/worker/internal/output"
	"outpost/functions/worker/internal/proxy"
	"outpost/functions/worker/internal/report"
	"outpost/functions/worker/internal/sandbox"
	"outpost/shared/problem"
	"outpost/shared/redact"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// attempt is a claimed attempt under way.
type attempt struct {
	*Worker
	client   *report.Client
	claim    runner.ClaimResponse
	dir      folders
	git      *git.Git
	scrubber *redact.Scrubber
	outputs  *output.Set
	events   *report.Events
	phase    atomic.Value                // string, for heartbeats
	gate     atomic.Pointer[proxy.Proxy] // of the agent, once it runs
	// commandOutput is the log of the tenant's commands; nil before the first.
	commandOutput *output.File

	// abandon ends everything: nobody takes a report of this attempt. cancel ends
	// the agent and what comes before it, and leaves time to report.
	abandon, cancel context.CancelCauseFunc

	result task.Result
	facts  outcome.Facts
}

// folders are where an attempt works, all in one scratch folder.
type folders struct {
	scratch  string
	git      string // the worker's own: configuration and repositories
	tree     string // the agent's work tree
	home     string // of the agent
	tmp      string // of the agent
	verify   string // work tree of verification
	outputs  string
	commands string // home and temporary files of the tenant's commands
}

// The phases, as heartbeats and events tell them.
const (
	phaseClone  = "clone"
	phaseSetup  = "setup"
	phaseAgent  = "agent"
	phasePatch  = "patch"
	phaseVerify = "verify"
	phaseUpload = "upload"
)

func newAttempt(w *Worker, client *report.Client, claim runner.ClaimResponse, scratch string) *attempt {
	in := func(name string) string { return filepath.Join(scratch, name) }
	a := &attempt{Worker: w, client: client, claim: claim, dir: folders{
		scratch: scratch, git: in("git"), tree: in("repository"), home: in("home"), tmp: in("tmp"),
		verify: in("verification"), outputs: in("outputs"), commands: in("commands"),
	}}
	a.scrubber = redact.New(redact.Secrets{
		claim.Provider.KeyName: claim.Provider.Key, "GIT_TOKEN": claim.Checkout.GitToken,
		"RUN_TOKEN": claim.RunToken, "TICKET": w.Ticket,
	})
	a.git = &git.Git{Path: w.Path, Dir: a.dir.git}
	a.outputs = output.NewSet(a.dir.outputs, a.scrubber)
	a.result = task.Result{Isolation: sandbox.Level(), Verify: task.Verify{State: task.VerifyNone}}
	a.phase.Store(phaseClone)
	return a
}

// run does the attempt. The error is why no result was taken:
// outcome.ErrSuperseded, outcome.ErrStopped or another.
func (a *attempt) run(ctx context.Context) error {
	for _, dir := range []string{a.dir.git, a.dir.home, a.dir.tmp, a.dir.outputs, a.dir.commands} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
	}
	reporting, done := until(ctx, a.Clock, a.claim.TokenExpiresAt, errors.New("the run token has expired"))
	defer done()
	reporting, a.abandon = context.WithCancelCause(reporting)
	working, over := until(reporting, a.Clock, a.claim.Deadline, outcome.ErrDeadline)
	defer over()
	working, a.cancel = context.WithCancelCause(working)
	defer a.cancel(nil)

	a.events = report.NewEvents(working, reporting, a.client, a.claim.Attempt, a.scrubber, a.refused)
	beating := a.beat(reporting)
	defer func() { done(); <-beating }()

	a.facts.Err = a.work(working, reporting)
	if why := context.Cause(working); why != nil && a.facts.Err == nil && !errors.Is(why, outcome.ErrDeadline) {
		a.facts.Err = why // the deadline alone does not undo what is done
	}
	if reporting.Err() != nil {
		a.cancel(nil)
		a.events.Close()
		return context.Cause(reporting)
	}
	err := a.conclude(reporting)
	if cause := context.Cause(reporting); cause != nil {
		return cause
	}
	return err
}

// refused acts on a call that the API refused.
func (a *attempt) refused(err error) {
	code, refused := report.Refused(err)
	switch {
	case code == string(problem.RunCancelled):
		a.cancel(outcome.ErrCancelled)
	case report.Lost(err):
		a.abandon(outcome.ErrSuperseded)
	case refused:
		a.Log("%v", err)
	}
}

// beat keeps the lease until ctx is done; the channel is closed after the last
// beat.
func (a *attempt) beat(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	every := max(time.Duration(a.claim.HeartbeatEverySeconds)*time.Second, time.Second)
	go func() {
		defer close(ended)
		for {
			cancel, err := a.client.Heartbeat(ctx, a.phase.Load().(string), a.spent())
			if err != nil {
				a.refused(err)
			}
			if cancel {
				a.cancel(outcome.ErrCancelled)
			}
			select {
			case <-a.Clock.After(every):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ended
}

// spent is what the provider has told so far.
func (a *attempt) spent() (s task.Spend) {
	if gate := a.gate.Load(); gate != nil {
		s.Usage, s.CostUSD = gate.Usage()
	}
	return s
}

// enter begins a phase.
func (a *attempt) enter(phase string) {
	a.phase.Store(phase)
	a.events.Emit(task.EventPhase, phase)
}

// patchLimit bounds making the patch, which may go beyond the run's deadline.
const patchLimit = 2 * time.Minute

// work does all up to the report: until working is done, then, within
// reporting, what is left to save.
func (a *attempt) work(working, reporting context.Context) error {
	if a.claim.Provider.Key == "" {
		return outcome.Fail(task.ReasonSecretMissing, a.claim.Provider.KeyName+" is not set")
	}
	a.enter(phaseClone)
	repo, tree, err := a.checkout(working)
	if err != nil {
		return err
	}
	if err := a.setup(working, tree); err != nil {
		return err
	}
	a.enter(phaseAgent)
	ended := a.agent(working, tree)
	if reporting.Err() != nil {
		return context.Cause(reporting)
	}
	// Whatever ended the agent, what it left is saved.
	a.enter(phasePatch)
	saving, cancel := until(reporting, a.Clock, a.Clock.Now().Add(patchLimit), errors.New("making the patch took too long"))
	defer cancel()
	made, err := a.patch(saving, repo, tree)
	switch {
	case ended != nil:
		if err != nil {
			a.events.Emit(task.EventError, "No patch could be saved: "+a.clean(err.Error()))
		}
		return ended
	case err != nil:
		return err
	case made == nil || a.facts.AgentError != nil || a.claim.Verify == "":
		return nil
	}
	a.enter(phaseVerify)
	return a.verify(working, made)
}

// checkout clones, pins the commit, and makes the agent's work tree.
func (a *attempt) checkout(ctx context.Context) (*checkout.Repository, *checkout.WorkTree, error) {
	fetcher := &checkout.Fetcher{Git: a.git, Clock: a.Clock, Askpass: a.Program}
	repo, commit, err := fetcher.Fetch(ctx, a.claim.Checkout, filepath.Join(a.dir.git, "fetched"))
	if err != nil {
		return nil, nil, err
	}
	pinned := a.claim.Checkout.Commit
	if pinned == "" {
		if pinned, err = a.client.Pin(ctx, commit); err != nil {
			a.refused(err)
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			return nil, nil, err
		}
	}
	if err := repo.Have(ctx, pinned); err != nil {
		return nil, nil, err
	}
	tree, err := repo.WorkTree(ctx, pinned, pinned, a.dir.tree)
	return repo, tree, err
}

// clean makes a text fit to leave as a detail: scrubbed, one line, without the
// paths of this worker.
func (a *attempt) clean(text string) string {
	text = strings.NewReplacer("file://"+a.dir.scratch+"/", "", a.dir.scratch+"/", "", a.dir.scratch, "").Replace(text)
	return outcome.Detail(a.scrubber.String(text))
}

// discard removes the scratch folder, folders that an agent locked included.
func discard(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
