package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	settlement.ClosingStore
	ClosedDue(ctx context.Context, now time.Time, limit int) ([]string, error)
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	MarkQuiet(ctx context.Context, tenantID string) error
	BeginRemoval(ctx context.Context, tenantID string) error
	TrailExported(ctx context.Context, tenantID string) (until time.Time, whole bool, err error)
	RemoveRows(ctx context.Context, tenantID string, trailUntil time.Time) (removed int, err error)
	EndRemoval(ctx context.Context, tenantID string, by table.By) error
}

// secrets is where tenants' secrets are kept.
type secrets interface {
	// DeleteAll forgets every secret of a tenant. Where there are none it does
	// nothing.
	DeleteAll(ctx context.Context, tenantID string, by table.By) error
}

type objects interface {
	Remove(ctx context.Context, tenantID string) (removed int, err error)
}

type remover struct {
	store   store
	secrets secrets
	objects objects
	clock   clock.Clock
}

const (
	// actor is how the audit trail names this function.
	actor = "tenant/remove"
	// atOnce bounds the tenants of one round.
	atOnce = 1000
	// spare is what of the function's time is left for the step in hand.
	spare = 30 * time.Second
	// patience is how long after its time a step may be late before somebody is
	// called. The export of the trail's last day alone takes three days.
	patience = 4 * 24 * time.Hour
)

// handle takes every closed tenant for whom there is something to do as far as it
// comes. Each step finds its work by looking and is nothing when done again: what a
// crash cuts short, or another invocation does at the same time, the next round
// finds done or does. A tenant that fails does not stop the others.
func (r remover) handle(ctx context.Context) error {
	due, err := r.store.ClosedDue(ctx, r.clock.Now(), atOnce)
	if err != nil {
		return err
	}
	var failed []error
	for i, tenantID := range due {
		if hurry(ctx) {
			slog.WarnContext(ctx, "no time left for closed tenants", "tenants", len(due)-i)
			break
		}
		if err := r.tenant(ctx, tenantID); err != nil {
			slog.ErrorContext(ctx, "look after a closed tenant", "tenant", tenantID, "error", err)
			failed = append(failed, fmt.Errorf("%s: %w", tenantID, err))
		}
	}
	return errors.Join(failed...)
}

func (r remover) tenant(ctx context.Context, tenantID string) error {
	tn, err := r.store.Tenant(ctx, tenantID)
	switch {
	case err != nil:
		return err
	case tn.DueAt().IsZero():
		return nil // the index is of the past
	case tn.QuietAt.IsZero():
		return r.quieten(ctx, tn)
	default:
		return r.remove(ctx, tn)
	}
}

// quieten ends the tenant's runs. Those in flight end in their own time.
func (r remover) quieten(ctx context.Context, tn tenant.Tenant) error {
	err := settlement.Closing{Store: r.store, Clock: r.clock}.End(ctx, tn.ID, spare, func(runID string) table.By {
		by := r.by("run.cancel", runID)
		by.Audit.Detail = settlement.WithTenant
		return by
	})
	if err != nil {
		return err
	}
	if err := r.store.MarkQuiet(ctx, tn.ID); !errors.Is(err, table.ErrAlive) {
		return err
	}
	return r.wait(ctx, tn, "a run has not ended")
}

// remove removes all that is the tenant's, and then says so. Before anything goes,
// nothing may be alive, nothing be paid for any more, and the audit trail be exported
// to its end: what the operator keeps of the tenant is that export. Events that come
// later stay until they are exported too, and forget themselves.
func (r remover) remove(ctx context.Context, tn tenant.Tenant) error {
	until, whole, err := r.store.TrailExported(ctx, tn.ID)
	if err != nil {
		return err
	}
	if !whole && tn.RemovingAt.IsZero() {
		return r.wait(ctx, tn, "the audit trail is not exported to its end")
	}
	err = r.store.BeginRemoval(ctx, tn.ID)
	if errors.Is(err, table.ErrAlive) || errors.Is(err, table.ErrBilled) {
		return r.wait(ctx, tn, err.Error())
	}
	if err != nil {
		return err
	}
	if err := r.secrets.DeleteAll(ctx, tn.ID, r.by("secret.delete", tn.ID)); err != nil {
		return err
	}
	gone, err := all(ctx, func() (int, error) { return r.objects.Remove(ctx, tn.ID) })
	if err != nil || !gone {
		return err
	}
	gone, err = all(ctx, func() (int, error) { return r.store.RemoveRows(ctx, tn.ID, until) })
	if err != nil || !gone {
		return err
	}
	if err := r.store.EndRemoval(ctx, tn.ID, r.by("tenant.remove", tn.ID)); err != nil {
		return err
	}
	slog.InfoContext(ctx, "the data of a closed tenant are removed", "tenant", tn.ID)
	return nil
}

// all removes until nothing is left, or the time is up.
func all(ctx context.Context, remove func() (int, error)) (gone bool, err error) {
	for !hurry(ctx) {
		if n, err := remove(); n == 0 || err != nil {
			return err == nil, err
		}
	}
	slog.WarnContext(ctx, "no time left to remove; the next round goes on")
	return false, nil
}

// wait leaves a tenant to the next round. One that waits for too long is an error.
func (r remover) wait(ctx context.Context, tn tenant.Tenant, why string) error {
	late := r.clock.Now().Sub(tn.DueAt())
	if late > patience {
		return fmt.Errorf("%s late: %s", late.Round(time.Hour), why)
	}
	slog.InfoContext(ctx, "a closed tenant waits", "tenant", tn.ID, "why", why)
	return nil
}

func (r remover) by(action, target string) table.By {
	now := r.clock.Now()
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: actor, Target: target}}
}

func hurry(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(end) < spare
}
