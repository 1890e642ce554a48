package table

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/tenant"
)

// A closed tenant is in an index for as long as there is something to do for it,
// under the time from when on: newTenantRow puts it there and takes it out.

// ClosedDue returns up to limit ids of closed tenants for whom there is something
// to do at now, the longest due first.
func (t *Table) ClosedDue(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var hits []struct{ GSI2SK string }
	err := t.items.Get("GSI2PK", closedPK).Index("GSI2").Range("GSI2SK", dynamo.LessOrEqual, closedSK(now, "~")).SearchLimit(limit).All(ctx, &hits)
	var ids []string
	for _, h := range hits {
		_, tenantID, _ := strings.Cut(h.GSI2SK, "#")
		ids = append(ids, tenantID)
	}
	return ids, read(err)
}

// InflightOf returns hints of the runs of a tenant that are in flight. It reads the
// entries of the whole fleet, which are few.
func (t *Table) InflightOf(ctx context.Context, tenantID string) (runs []string, err error) {
	for n := range shards {
		var hits []struct{ GSI2SK string }
		if err := t.items.Get("GSI2PK", inflightShard(n)).Index("GSI2").All(ctx, &hits); err != nil {
			return nil, read(err)
		}
		for _, h := range hits {
			if parts := strings.SplitN(h.GSI2SK, "#", 3); len(parts) == 3 && parts[1] == tenantID {
				runs = append(runs, parts[2])
			}
		}
	}
	return runs, nil
}

// MarkQuiet notes, once, that a closed tenant has no run that waits or is in
// flight. None can come any more. It returns ErrAlive, and ErrStale for a tenant that
// is not closed.
func (t *Table) MarkQuiet(ctx context.Context, tenantID string) error {
	return t.stepClosed(ctx, tenantID, func(tn tenant.Tenant) tenant.Tenant { return tn.Quiet(t.clock.Now()) })
}

// BeginRemoval notes, once, that the data of a closed tenant are being removed.
// Nothing that somebody decided about the tenant before is written from then on. It
// returns ErrAlive, ErrBilled while the tenant is looked at for what Stripe takes,
// and ErrStale for one that is not closed.
func (t *Table) BeginRemoval(ctx context.Context, tenantID string) error {
	billed := t.items.Check("PK", tenantPK(tenantID)).Range("SK", billingSK).If("attribute_not_exists(GSI1PK)")
	return t.stepClosed(ctx, tenantID, func(tn tenant.Tenant) tenant.Tenant { return tn.BeginRemoval(t.clock.Now()) }, billed)
}

// stepClosed takes a closed tenant, none of whose runs is alive, a step on.
func (t *Table) stepClosed(ctx context.Context, tenantID string, step func(tenant.Tenant) tenant.Tenant, unless ...*dynamo.ConditionCheck) error {
	return t.again(ctx, func() error {
		was, err := t.Tenant(ctx, tenantID)
		if err != nil {
			return err
		}
		if was.Entitlement.State != tenant.Closed {
			return ErrStale
		}
		now := step(was)
		if now == was {
			return nil
		}
		tx := t.db.WriteTx().Idempotent(true)
		tx.Put(t.items.Put(newTenantRow(now)).If("'Tenant'.'Entitlement'.'Version' = ?", was.Entitlement.Version))
		tx.Check(t.items.Check("PK", tenantPK(tenantID)).Range("SK", loadSK).If("attribute_not_exists(PK) OR (Waiting = ? AND Running = ?)", 0, 0))
		for _, c := range unless {
			tx.Check(c)
		}
		err = transacted(tx.Run(ctx))
		var c *conditionFailed
		switch {
		case !errors.As(err, &c):
			return err
		case c.failed[0]:
			return errRaced
		case c.failed[1]:
			return ErrAlive
		default:
			return ErrBilled
		}
	})
}
