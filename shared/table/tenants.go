package table

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/tenant"
)

// CreateTenant stores a new tenant with its first API key. It returns ErrExists
// when the id or the key's hash is taken.
func (t *Table) CreateTenant(ctx context.Context, tn tenant.Tenant, first Key, by By) error {
	first.Tenant, first.Entitlement = tn.ID, tn.Entitlement
	row := newTenantRow(tn)
	err := t.again(ctx, func() error {
		err := t.commit(ctx, tn.ID, by, func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(row).If("attribute_not_exists(PK)"))
			tx.Put(t.items.Put(newKeyRow(first)).If("attribute_not_exists(PK)"))
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
// rows of its keys, in one transaction. A key that is made at this moment may
// keep the old copy: its version is stale, so that it is never obeyed. Errors of
// the rule are returned as they are.
func (t *Table) ChangeTenant(ctx context.Context, tenantID string, by By, rule func(tenant.Tenant) (tenant.Tenant, error)) (changed tenant.Tenant, err error) {
	err = t.again(ctx, func() error {
		was, err := t.Tenant(ctx, tenantID)
		if err != nil {
			return err
		}
		if changed, err = rule(was); err != nil {
			return err
		}
		keys, err := t.keys(ctx, tenantID)
		if err != nil {
			return err
		}
		return settled(t.commit(ctx, tenantID, by, func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(newTenantRow(changed)).If("'Tenant'.'Entitlement'.'Version' = ?", was.Entitlement.Version))
			for _, k := range keys {
				tx.Update(t.items.Update("PK", k.PK).Range("SK", k.SK).Set("'Key'.'Entitlement'", changed.Entitlement).If("attribute_exists(PK)"))
			}
		}))
	})
	return changed, err
}

// maxKeys bounds how many of a tenant's keys are carried along in one
// transaction, which takes 100 rows.
const maxKeys = 90

// keys finds the rows of a tenant's keys, newest first.
func (t *Table) keys(ctx context.Context, tenantID string) (rows []keyRow, err error) {
	err = t.items.Get("GSI1PK", tenantPK(tenantID)+"#KEYS").Index("GSI1").Order(dynamo.Descending).Limit(maxKeys).All(ctx, &rows)
	return rows, read(err)
}

// Tenant returns a tenant.
func (t *Table) Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	var row tenantRow
	err := t.get(ctx, key{tenantPK(tenantID), tenantSK}, &row)
	return row.Tenant, err
}

// The states of a key.
const (
	KeyActive  = "active"
	KeyRevoked = "revoked"
)

// Key is an API key as the table knows it: never the key itself.
type Key struct {
	ID, Hash, Tenant, Name, Display string
	Scopes                          []string
	Entitlement                     tenant.Entitlement // a copy of the tenant's
	State                           string
	CreatedAt, ExpiresAt            time.Time // zero ExpiresAt: never
}

// PutKey stores a tenant's new key. It returns ErrExists when the hash is taken.
func (t *Table) PutKey(ctx context.Context, tenantID string, k Key) error {
	k.Tenant = tenantID
	row := newKeyRow(k)
	return t.create(ctx, row.key, row)
}

// KeyByHash returns the key of a hash, by one read. It is the one way into the
// table without a tenant: it is how a tenant is found.
func (t *Table) KeyByHash(ctx context.Context, hash string) (Key, error) {
	var row keyRow
	err := t.get(ctx, key{keyPK(hash), keySK}, &row)
	return row.Key, err
}

// RevokeKey ends a tenant's key for ever: nothing is written under it from then
// on. Another tenant's key is not found.
func (t *Table) RevokeKey(ctx context.Context, tenantID, hash string) error {
	return t.again(ctx, func() error { // admissions under the key are in the way for moments
		err := t.items.Update("PK", keyPK(hash)).Range("SK", keySK).Set("'Key'.'State'", KeyRevoked).
			If("attribute_exists(PK) AND 'Key'.'Tenant' = ?", tenantID).Run(ctx)
		return written(err, ErrNotFound)
	})
}

// create puts a row where none is. The very same row is no obstacle: an answer
// was lost, and the client put it again.
func (t *Table) create(ctx context.Context, k key, row any) error {
	err := t.again(ctx, func() error {
		return written(t.items.Put(row).If("attribute_not_exists(PK)").Run(ctx), ErrExists)
	})
	if !errors.Is(err, ErrExists) {
		return err
	}
	mine, err := dynamo.MarshalItem(row)
	if err != nil {
		return err
	}
	var there dynamo.Item
	if err := t.get(ctx, k, &there); err != nil {
		return err
	}
	if !reflect.DeepEqual(mine, there) {
		return ErrExists
	}
	return nil
}
