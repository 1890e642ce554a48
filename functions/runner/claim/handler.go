package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

type store interface {
	Claim(ctx context.Context, tenantID, runID string, attempt int, nonce string, leaseUntil time.Time, by table.By) (task.Run, error)
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
	Prompt(ctx context.Context, tenantID, taskID string) (string, error)
}

type vault interface {
	Open(ctx context.Context, tenantID, name string) (value, host string, err error)
}

type handler struct {
	store        store
	vault        vault
	signer       *token.Signer
	clock        clock.Clock
	timing       task.Timing
	schemes      []string
	private      []netip.Prefix    // that may be cloned from beside public addresses
	providerURLs map[string]string // in place of providers' own, by name
}

// handle may be repeated with the same nonce and gives the same answer.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.ClaimRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	if in.Protocol < runner.OldestVersion || in.Protocol > runner.Version {
		return api.Response{}, problem.New(problem.ProtocolUnsupported, fmt.Sprintf("The protocol versions %d to %d are served.", runner.OldestVersion, runner.Version))
	}
	w := r.Worker
	now := h.clock.Now()
	by := r.By(now, "run.claim", w.Run)
	by.Audit.Detail = fmt.Sprintf("attempt %d", w.Attempt)
	run, err := h.store.Claim(ctx, w.Tenant, w.Run, w.Attempt, in.Nonce, now.Add(h.timing.HeartbeatLease), by)
	if err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	tk, err := h.store.Task(ctx, w.Tenant, run.Task)
	if err != nil {
		return api.Response{}, err
	}
	prompt, err := h.store.Prompt(ctx, w.Tenant, run.Task)
	if err != nil {
		return api.Response{}, err
	}
	provider, err := h.provider(ctx, w.Tenant, run)
	if err != nil {
		return api.Response{}, err
	}
	checkout, err := h.checkout(ctx, w.Tenant, tk)
	if err != nil {
		return api.Response{}, err
	}
	expires := run.Deadline.Add(h.timing.UploadGrace)
	return api.OK(runner.ClaimResponse{
		RunToken: h.signer.Sign(token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: run.ID, Attempt: run.Attempt.Number,
			Nonce: in.Nonce, Expires: expires.Unix()}),
		TokenExpiresAt: expires,
		Run:            run.ID, Task: run.Task, Attempt: run.Attempt.Number, Agent: run.Agent, Model: run.Model,
		Prompt: prompt, Setup: tk.Spec.Setup, Verify: tk.Spec.Verify, Deadline: run.Deadline,
		BudgetUSD: tk.Spec.BudgetUSD / float64(tk.Tally.Total), SpentUSD: known(run.EarlierSpend.CostUSD),
		Checkout: checkout, Provider: provider,
		HeartbeatEverySeconds: max(1, int(h.timing.HeartbeatEvery.Seconds())),
	}), nil
}

// known is a cost, 0 when nobody knows it.
func known(usd *float64) float64 {
	if usd == nil {
		return 0
	}
	return *usd
}

// provider is who answers the agent's model, with the tenant's own key. A key
// that is not set is empty: the worker ends the run with secret_missing.
func (h handler) provider(ctx context.Context, tenantID string, run task.Run) (runner.Provider, error) {
	a, ok := agent.Lookup(run.Agent)
	if !ok {
		return runner.Provider{}, fmt.Errorf("run %s has the unknown agent %s", run.ID, run.Agent)
	}
	p, err := a.Provider(run.Model)
	if err != nil {
		return runner.Provider{}, fmt.Errorf("run %s: %w", run.ID, err)
	}
	key, _, err := h.vault.Open(ctx, tenantID, p.Secret)
	if err != nil && !errors.Is(err, secret.ErrNotSet) {
		return runner.Provider{}, err
	}
	base := p.BaseURL
	if u := h.providerURLs[p.Name]; u != "" {
		base = u
	}
	return runner.Provider{Name: p.Name, BaseURL: base, KeyName: p.Secret, Key: key}, nil
}

// checkout hands out the git token only when the repository is on its host.
func (h handler) checkout(ctx context.Context, tenantID string, tk task.Task) (runner.Checkout, error) {
	c := runner.Checkout{Repo: tk.Spec.Repo, Ref: tk.Spec.Ref, Commit: tk.Commit, Schemes: h.schemes}
	for _, p := range h.private {
		c.PrivateAddresses = append(c.PrivateAddresses, p.String())
	}
	u, err := url.Parse(tk.Spec.Repo)
	if err != nil || u.Host == "" {
		return c, nil
	}
	value, host, err := h.vault.Open(ctx, tenantID, secret.GitToken)
	if errors.Is(err, secret.ErrNotSet) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if strings.EqualFold(host, u.Host) {
		c.GitHost, c.GitToken = u.Host, value
	}
	return c, nil
}
