package table

import (
	"context"
	"errors"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/tenant"
)

// CreateTenant stores a new tenant with its first API key. It returns ErrExists
// when the id or the key's hash is taken.
func (t *Table) CreateTenant(ctx context.Context, tn tenant.Tenant, first Key, by By) error {
	first.Tenant, first.Entitlement = tn.ID, tn.Entitlement
	row := newTenantRow(tn)
	err := t.again(ctx, func() error {
		slot, err := t.takeSlot(tn.ID, nil, first)
		if err != nil {
			return err
		}
		err = t.commit(ctx, tn.ID, by.changing(nil, tenantFacts(tn)), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(row).If("attribute_not_exists(PK)"))
			tx.Put(t.items.Put(newKeyRow(first)).If("attribute_not_exists(PK)"))
			tx.Put(slot)
		})
		var c *conditionFailed
		if errors.As(err, &c) {
			return ErrExists
		}
		return err
	})
	if !errors.Is(err, ErrExists) {
		return err
	}
	// An answer may have been lost: the very same tenant is no obstacle.
	there, err := t.Tenant(ctx, tn.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	same := there.Name == tn.Name && there.Email == tn.Email && there.Entitlement == tn.Entitlement && there.CreatedAt.Equal(tn.CreatedAt)
	if mine, err := t.KeyByHash(ctx, first.Hash); err != nil || mine.ID != first.ID || !same {
		return ErrExists
	}
	return nil
}

// Tenants returns tenants in the order of their ids behind after, and the id to
// go on behind; empty when there are no more.
func (t *Table) Tenants(ctx context.Context, after string, limit int) (tenants []tenant.Tenant, next string, err error) {
	q := t.items.Get("GSI1PK", allTenants).Index("GSI1").SearchLimit(limit + 1)
	if after != "" {
		q.Range("GSI1SK", dynamo.Greater, after)
	}
	var rows []tenantRow
	cut, err := q.AllWithLastEvaluatedKey(ctx, &rows)
	if err != nil {
		return nil, "", read(err)
	}
	if len(rows) > limit {
		rows, next = rows[:limit], rows[limit-1].Tenant.ID
	} else if cut != nil && len(rows) > 0 { // a page ends at 1 MB, before the limit
		next = rows[len(rows)-1].Tenant.ID
	}
	for _, r := range rows {
		tenants = append(tenants, r.Tenant)
	}
	return tenants, next, nil
}

// ChangeTenant applies a rule to a tenant and hands the new entitlement to the
// rows of its keys, of all that live at that moment, in one transaction. A tenant
// that the rule leaves as it is gets no event; its index entries are written anew.
// Errors of the rule are returned as they are, and that of TakeOver for a plan that
// the rule takes from Stripe.
func (t *Table) ChangeTenant(ctx context.Context, tenantID string, by By, rule func(tenant.Tenant) (tenant.Tenant, error)) (changed tenant.Tenant, err error) {
	err = t.again(ctx, func() error {
		was, err := t.Tenant(ctx, tenantID)
		if err != nil {
			return err
		}
		if changed, err = rule(was); err != nil {
			return err
		}
		if changed == was {
			return written(t.items.Put(newTenantRow(was)).If("'Tenant'.'Entitlement'.'Version' = ?", was.Entitlement.Version).Run(ctx), errRaced)
		}
		var stands billingRow
		handed := changed.PlanSource != was.PlanSource
		if handed && was.PlanSource == tenant.ByStripe {
			if stands, err = t.billing(ctx, tenantID); err != nil {
				return err
			}
			if err := stands.Billing.TakeOver(); err != nil {
				return err
			}
		}
		keys, err := t.keyring(ctx, tenantID)
		if err != nil {
			return err
		}
		return settled(t.commit(ctx, tenantID, by.changing(tenantFacts(was), tenantFacts(changed)), func(tx *dynamo.WriteTx) {
			t.replace(tx, was, changed, keys)
			if handed {
				t.handOver(tx, changed, stands)
			}
		}))
	})
	return changed, err
}

// replace writes a tenant that is still as it was read, and what it may do on its
// living keys if that is otherwise. What waited under the old limits may start under the
// new ones: the tenant is back in the waiting index, so that the scheduler finds it
// though its wakeup be lost, and a scheduler that judged by the old ones parks it
// no more.
func (t *Table) replace(tx *dynamo.WriteTx, was, now tenant.Tenant, keys keyring) {
	tx.Put(t.items.Put(newTenantRow(now)).If("'Tenant'.'Entitlement'.'Version' = ?", was.Entitlement.Version))
	if now.Entitlement == was.Entitlement {
		return
	}
	tx.Update(t.none(was.ID, keys))
	for _, k := range keys.slots {
		if k.over(t.clock.Now()) {
			continue // it writes nothing any more, and its row may be gone
		}
		tx.Update(t.items.Update("PK", keyPK(k.Hash)).Range("SK", keySK).Set("'Key'.'Entitlement'", now.Entitlement).If("attribute_exists(PK)"))
	}
	tx.Update(t.waits(now.ID).Add("Waiting", 0).Add("Running", 0).Add("Version", 1))
}

// Tenant returns a tenant.
func (t *Table) Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	var row tenantRow
	err := t.get(ctx, key{tenantPK(tenantID), tenantSK}, &row)
	return row.Tenant, err
}
