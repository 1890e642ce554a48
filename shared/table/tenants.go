package table

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/tenant"
)

// CreateTenant stores a new tenant. It returns ErrExists when the id is taken.
func (t *Table) CreateTenant(ctx context.Context, tn tenant.Tenant) error {
	row := tenantRow{key: key{tenantPK(tn.ID), tenantSK}, GSI1PK: "TENANTS", GSI1SK: tn.ID, Tenant: tn}
	return t.create(ctx, row.key, row)
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
	row := keyRow{key: key{keyPK(k.Hash), keySK}, GSI1PK: tenantPK(tenantID) + "#KEYS",
		GSI1SK: k.CreatedAt.UTC().Format(time.RFC3339Nano) + "#" + k.ID, Key: k}
	if !k.ExpiresAt.IsZero() {
		row.ExpiresUnix = k.ExpiresAt.Unix()
	}
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
