package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	ExportProgress(ctx context.Context) (table.ExportProgress, error)
	LeaseExport(ctx context.Context, holder string, until time.Time) (table.ExportProgress, error)
	SaveExport(ctx context.Context, holder string, p table.ExportProgress, done bool) error
	Tenants(ctx context.Context, after string, limit int) (tenants []tenant.Tenant, next string, err error)
	ExportHead(ctx context.Context, tenantID string) (head audit.Link, begun string, err error)
	BeginExport(ctx context.Context, tenantID string, head audit.Link, day string) error
	EndExport(ctx context.Context, tenantID string, l audit.Link) error
	AuditBetween(ctx context.Context, tenantID string, from, until time.Time) iter.Seq2[audit.Event, error]
}

// objects keeps what is written once.
type objects interface {
	PutOnce(ctx context.Context, key string, body []byte) (stored []byte, err error)
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
}

type exporter struct {
	store   store
	objects objects
	clock   clock.Clock
}

const (
	// behind is how long after its end a day is exported. An event's time is taken
	// before it is written, within one invocation of a function, which lasts a
	// minute at most.
	behind = time.Hour
	// leaseTime is longer than the function may run.
	leaseTime = 6 * time.Minute
	// spare is what of the function's time is kept for the tenant in hand.
	spare = 30 * time.Second
	// tenantsAtOnce are looked at before the progress is kept.
	tenantsAtOnce = 25
)

const aDay = 24 * time.Hour

var errIncomplete = errors.New("the round is done again: a tenant could not be exported")

// handle exports what has not been exported of every day that ended an hour ago
// or earlier. Where another one does so it leaves it to them. It goes on where an
// earlier invocation stopped; an error of one tenant never stops the others, and
// brings the whole round again.
func (e exporter) handle(ctx context.Context) error {
	now := e.clock.Now()
	day := audit.Day(now.Add(-behind - aDay))
	if p, err := e.store.ExportProgress(ctx); err != nil || p.Done >= day {
		return err
	}
	holder := id.New(id.Request, now)
	p, err := e.store.LeaseExport(ctx, holder, now.Add(leaseTime))
	if errors.Is(err, table.ErrStale) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.Round != day {
		p.Round, p.After, p.Failed = day, "", false
	}
	failed := e.round(ctx, holder, &p)
	if err := e.store.SaveExport(ctx, holder, p, true); err != nil && !errors.Is(err, table.ErrStale) {
		failed = errors.Join(failed, err)
	}
	return failed
}

// round looks at the tenants behind the one where an earlier one stopped, until
// there are no more or the time is up.
func (e exporter) round(ctx context.Context, holder string, p *table.ExportProgress) error {
	var failed []error
	for p.Done < p.Round {
		if end, ok := ctx.Deadline(); ok && time.Until(end) < spare {
			slog.WarnContext(ctx, "no time left to export", "day", p.Round, "after", p.After)
			break
		}
		tenants, next, err := e.store.Tenants(ctx, p.After, tenantsAtOnce)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			if err := e.tenant(ctx, t.ID, p.Round); err != nil {
				slog.ErrorContext(ctx, "export a tenant's audit trail", "tenant", t.ID, "error", err)
				failed, p.Failed = append(failed, fmt.Errorf("%s: %w", t.ID, err)), true
			}
		}
		switch {
		case next != "":
			p.After = next
		case p.Failed: // all once more: nothing is done twice
			p.After, p.Failed = "", false
			return errors.Join(append(failed, errIncomplete)...)
		default:
			p.Done, p.After = p.Round, ""
		}
		if err := e.store.SaveExport(ctx, holder, *p, false); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}
