package table

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/topology"
)

// Sealed is one version of a tenant's secret, encrypted. It holds one of two
// things: the ciphertext, with its key wrapped by KMS; or, where Secrets Manager
// has the ciphertext, the key.
type Sealed struct {
	Name                   string
	Version                int
	Display                string // its last characters
	Host                   string // of a git token
	Ciphertext, WrappedKey []byte
	Key                    []byte // of a ciphertext in Secrets Manager
	SetAt                  time.Time
}

// In tells whether the version is in a store.
func (s Sealed) In(store topology.SecretStore) bool {
	return (len(s.Key) > 0) == (store == topology.InSecretsManager)
}

// keptVersions is how many versions of a secret there are at most: a run that
// claims while a new one is put still finds one.
const keptVersions = 2

// PutSecret stores the version of a secret that follows the newest and forgets
// the oldest. It returns ErrExists when another was faster, and ErrKeyRevoked.
func (t *Table) PutSecret(ctx context.Context, tenantID string, s Sealed, by By) error {
	row := secretRow{key{tenantPK(tenantID), secretSK(s.Name, s.Version)}, s}
	return t.again(ctx, func() error {
		// A version that is not there may have been there: who is late must not put it
		// again, below newer ones. So the one before must be there; and the first one
		// must be the first of any secret since its caller saw that there is none.
		var first secretsRow
		if s.Version == 1 {
			if err := t.get(ctx, key{row.PK, secretsSK}, &first); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if there, err := t.Secret(ctx, tenantID, s.Name); !errors.Is(err, ErrNotFound) {
				return taken(there, s, err)
			}
		}
		before, err := t.versionFacts(ctx, tenantID, s.Name, s.Version-1)
		if err != nil {
			return err
		}
		err = t.commit(ctx, tenantID, by.changing(before, secretFacts(s)), func(tx *dynamo.WriteTx) {
			tx.Put(t.items.Put(row).If("attribute_not_exists(PK)"))
			if s.Version == 1 {
				tx.Update(t.items.Update("PK", row.PK).Range("SK", secretsSK).Set("Firsts", first.Firsts+1).If("attribute_not_exists(Firsts) OR Firsts = ?", first.Firsts))
			} else {
				tx.Check(t.items.Check("PK", row.PK).Range("SK", secretSK(s.Name, s.Version-1)).If("attribute_exists(PK)"))
			}
			if old := s.Version - keptVersions; old > 0 {
				tx.Delete(t.items.Delete("PK", row.PK).Range("SK", secretSK(s.Name, old)))
			}
		})
		var c *conditionFailed
		if !errors.As(err, &c) {
			return err
		}
		var there secretRow
		err = t.get(ctx, row.key, &there)
		if errors.Is(err, ErrNotFound) && s.Version == 1 {
			return errRaced // with the first one of another secret
		}
		return taken(there.Secret, s, err)
	})
}

// versionFacts are the facts of one version of a secret, none where it is not
// there. A version never changes while it is there.
func (t *Table) versionFacts(ctx context.Context, tenantID, name string, version int) (map[string]string, error) {
	if version < 1 {
		return nil, nil
	}
	var row secretRow
	err := t.get(ctx, key{tenantPK(tenantID), secretSK(name, version)}, &row)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return secretFacts(row.Secret), err
}

// taken is what it means that a secret has a version where one was to be put, or,
// with ErrNotFound, that it could not be put all the same.
func taken(there, s Sealed, err error) error {
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case err == nil && there.Version == s.Version && reflect.DeepEqual(there.Ciphertext, s.Ciphertext):
		return nil // an answer was lost
	}
	return ErrExists
}

// Secret returns the newest version of a secret.
func (t *Table) Secret(ctx context.Context, tenantID, name string) (Sealed, error) {
	var rows []secretRow
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, "SECRET#"+name+"#").
		Order(dynamo.Descending).Consistent(true).SearchLimit(1).All(ctx, &rows)
	if err != nil {
		return Sealed{}, read(err)
	}
	if len(rows) == 0 {
		return Sealed{}, ErrNotFound
	}
	return rows[0].Secret, nil
}

// Secrets returns the newest version of each of a tenant's secrets, by name.
func (t *Table) Secrets(ctx context.Context, tenantID string) ([]Sealed, error) {
	rows, err := t.secretRows(ctx, tenantID, "")
	if err != nil {
		return nil, err
	}
	var newest []Sealed
	for _, r := range rows { // a name's versions follow one another, the newest last
		if n := len(newest); n > 0 && newest[n-1].Name == r.Secret.Name {
			newest = newest[:n-1]
		}
		newest = append(newest, r.Secret)
	}
	return newest, nil
}

// DeleteSecret forgets every version of a secret. It returns ErrNotFound where
// there is none, and ErrKeyRevoked.
func (t *Table) DeleteSecret(ctx context.Context, tenantID, name string, by By) error {
	return t.deleteSecrets(ctx, tenantID, name+"#", by)
}

// DeleteSecrets forgets every version of every secret of a tenant, and may be
// repeated. It returns ErrKeyRevoked.
func (t *Table) DeleteSecrets(ctx context.Context, tenantID string, by By) error {
	err := t.deleteSecrets(ctx, tenantID, "", by)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (t *Table) deleteSecrets(ctx context.Context, tenantID, prefix string, by By) error {
	return t.again(ctx, func() error {
		rows, err := t.secretRows(ctx, tenantID, prefix)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return ErrNotFound
		}
		var before map[string]string
		if prefix != "" {
			before = secretFacts(rows[len(rows)-1].Secret)
		}
		return settled(t.commit(ctx, tenantID, by.changing(before, nil), func(tx *dynamo.WriteTx) {
			for _, r := range rows {
				tx.Delete(t.items.Delete("PK", r.PK).Range("SK", r.SK).If("attribute_exists(PK)"))
			}
		}))
	})
}

func (t *Table) secretRows(ctx context.Context, tenantID, prefix string) (rows []secretRow, err error) {
	err = t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, "SECRET#"+prefix).Consistent(true).All(ctx, &rows)
	return rows, read(err)
}
