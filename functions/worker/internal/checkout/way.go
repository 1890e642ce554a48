package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"outpost/functions/worker/internal/forward"
	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
	"outpost/shared/egress"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// way is how git reaches the source's remote, while it is open: past a proxy of
// the worker's own, which connects to public addresses alone, and with the token
// for its host.
type way struct {
	remote *git.Remote
	proxy  *forward.Proxy // nil for a repository on this machine
	forget func()         // takes the token away
	clock  clock.Clock
}

// open opens the way to a source. Close it before anything else runs: what it
// holds is not for agents.
func (f *Fetcher) open(src runner.Checkout) (*way, error) {
	w := &way{remote: &git.Remote{Schemes: reachable(src.Schemes)}, clock: f.Clock}
	var err error
	if w.remote.Askpass, w.forget, err = f.askpass(src); err != nil {
		return nil, err
	}
	if strings.HasPrefix(src.Repo, "file:") {
		w.remote.Schemes = []string{"file"}
		return w, nil
	}
	also, err := egress.Parse(src.PrivateAddresses)
	if err == nil {
		w.proxy, err = forward.Start(egress.Policy{Also: also, Resolver: f.Resolver}, w.remote.Schemes)
	}
	if err != nil {
		w.forget()
		return nil, fmt.Errorf("open a way to the repository: %w", err)
	}
	w.remote.Schemes = slices.DeleteFunc(w.remote.Schemes, func(s string) bool { return s == "file" }) // no redirect leads here
	w.remote.Proxy = w.proxy.URL()
	return w, nil
}

// close ends every connection and takes the token away.
func (w *way) close() {
	w.forget()
	if w.proxy != nil {
		w.proxy.Close()
	}
}

// reachable are the schemes that there is a way for, whatever else is allowed.
func reachable(schemes []string) (known []string) {
	for _, s := range schemes {
		if s == "file" || s == "http" || s == "https" {
			known = append(known, s)
		}
	}
	return known
}

// persist tries again what the network failed.
func (w *way) persist(ctx context.Context, call func() error) error {
	for n := 1; ; n++ {
		passing, err := w.judge(call())
		if err == nil || n == tries || !passing || ctx.Err() != nil {
			return err
		}
		select {
		case <-w.clock.After(time.Duration(n) * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// judge tells whether another try may not meet the same error. The proxy knows
// better than git why a host was not reached.
func (w *way) judge(err error) (passing bool, _ error) {
	var failed *git.Error
	if !errors.As(err, &failed) || w.proxy == nil {
		return transient(err), err
	}
	if f := w.proxy.Failure(); f != nil {
		return !f.Refused, outcome.Fail(task.ReasonRepositoryUnavailable, f.Detail)
	}
	return transient(err), err
}
