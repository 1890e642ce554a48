package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"outpost/shared/api"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/topology"
)

type store interface {
	Admit(ctx context.Context, tenantID string, a table.Admission) error
	api.Answerer
	WarnOfQuota(ctx context.Context, tenantID string, day time.Time, limit int) (percent int, err error)
	Secrets(ctx context.Context, tenantID string) ([]table.Sealed, error)
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
}

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

type handler struct {
	store        store
	waker        waker
	clock        clock.Clock
	repositories api.Repositories
	keys         topology.SecretStore // where those of providers are
}

// handle admits the task, or refuses it whole. When the tenant's limits have
// changed since the authorizer saw them, it judges once more by the new ones,
// whether the old ones would have let the task pass or not.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in submission
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	secrets, err := h.store.Secrets(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	in.set = map[string]bool{}
	for _, s := range secrets {
		in.set[s.Name] = s.In(h.keys)
	}
	res, err := h.admit(ctx, r, in, r.Caller)
	if errors.Is(err, table.ErrLimitsChanged) || problem.Is(err, problem.PlanLimit) {
		tn, readErr := h.store.Tenant(ctx, r.Caller.Tenant)
		if readErr != nil {
			return api.Response{}, readErr
		}
		if caller := r.Caller; caller.Entitlement != tn.Entitlement {
			caller.Entitlement = tn.Entitlement
			res, err = h.admit(ctx, r, in, caller)
		}
	}
	first, err := r.Earlier(ctx, h.store, err)
	if first != nil {
		return replayed(first)
	}
	if errors.Is(err, table.ErrLimitsChanged) {
		p := problem.New(problem.Busy, "The tenant's limits are changing; try again.").Because(err)
		p.RetryAfter = time.Second
		err = p
	}
	return res, err
}

func (h handler) admit(ctx context.Context, r *api.Request, in submission, caller tenant.Caller) (api.Response, error) {
	limits, err := caller.Entitlement.Limits()
	if err != nil {
		return api.Response{}, err
	}
	now := h.clock.Now()
	tk, err := in.task(caller.Tenant, limits, h.repositories, now)
	if err != nil {
		return api.Response{}, err
	}
	view := api.ViewTask(tk, in.Prompt)
	a := table.Admission{Caller: caller, Task: tk, Prompt: in.Prompt, RunsPerDay: limits.RunsPerDay,
		Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "task.create", Actor: caller.KeyID, Target: tk.ID,
			RequestID: r.ID, Address: r.Address, Detail: fmt.Sprintf("%d runs", len(tk.Runs))}}
	if a.Idempotency, err = r.Once(http.StatusAccepted, view); err != nil {
		return api.Response{}, err
	}
	err = h.store.Admit(ctx, caller.Tenant, a)
	var quota *table.QuotaError
	if err == nil || errors.As(err, &quota) {
		if _, err := h.store.WarnOfQuota(ctx, caller.Tenant, now, limits.RunsPerDay); err != nil {
			// The next submission warns.
			slog.ErrorContext(ctx, "warn of a quota", "tenant", caller.Tenant, "error", err)
		}
	}
	if err != nil {
		return api.Response{}, refusal(err, limits, now)
	}
	if err := h.waker.Wake(ctx, caller.Tenant); err != nil {
		// The task is admitted; the reaper wakes the scheduler within a minute.
		slog.ErrorContext(ctx, "wake the scheduler", "tenant", caller.Tenant, "task", tk.ID, "error", err)
	}
	res := api.Accepted(view)
	res.Header = map[string]string{"Location": "/v1/tasks/" + tk.ID}
	return res, nil
}

// replayed is the first answer once more.
func replayed(first *table.Replay) (api.Response, error) {
	var body struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(first.Body, &body); err != nil {
		return api.Response{}, fmt.Errorf("read a kept answer: %w", err)
	}
	return api.Replayed(first, map[string]string{"Location": "/v1/tasks/" + body.ID}), nil
}

// refusal translates what the admission said.
func refusal(err error, limits plan.Plan, now time.Time) error {
	var quota *table.QuotaError
	switch {
	case errors.As(err, &quota):
		p := problem.New(problem.QuotaExceeded, fmt.Sprintf("Your tenant, on the plan %s, may start %d runs a day; %d are used and this task wants %d.",
			limits.Name, quota.Limit, quota.Used, quota.Wanted))
		p.Quota = &problem.Quota{Limit: quota.Limit, Used: quota.Used, ResetsAt: quota.ResetsAt}
		p.RetryAfter = quota.ResetsAt.Sub(now)
		return p
	case errors.Is(err, table.ErrKeyRevoked):
		return problem.New(problem.Unauthorized, "The key was revoked or has expired.")
	case errors.Is(err, table.ErrTenantInactive):
		return problem.New(problem.TenantInactive, "The tenant is not active: it can read, and start nothing.")
	}
	return err
}
