package secret

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// vaultRows is the part of the table that a Vault is in.
type vaultRows interface {
	PutSecret(ctx context.Context, tenantID string, s table.Sealed, by table.By) error
	Secret(ctx context.Context, tenantID, name string) (table.Sealed, error)
	DeleteSecret(ctx context.Context, tenantID, name string, by table.By) error
	DeleteSecrets(ctx context.Context, tenantID string, by table.By) error
}

// Vault is the Store in the table: ciphertexts, whose keys KMS wraps with the
// tenant, the name and the version as encryption context.
type Vault struct {
	kms   *kms.Client
	key   string
	rows  vaultRows
	clock clock.Clock
}

// NewVault returns a Vault under the KMS key of that ARN.
func NewVault(client *kms.Client, keyARN string, rows vaultRows) *Vault {
	return &Vault{client, keyARN, rows, clock.System}
}

// maxPuts bounds how often a new version is tried that somebody else was faster
// to put.
const maxPuts = 5

// Put stores a new version of a secret.
func (v *Vault) Put(ctx context.Context, tenantID, name, value, host string, by table.By) (err error) {
	if err := check(name, value, host); err != nil {
		return err
	}
	for range maxPuts {
		if err = v.put(ctx, tenantID, name, value, host, by); !errors.Is(err, table.ErrExists) {
			return err
		}
	}
	return fmt.Errorf("%w: others are setting %s", table.ErrConflict, name)
}

func (v *Vault) put(ctx context.Context, tenantID, name, value, host string, by table.By) error {
	last, err := v.rows.Secret(ctx, tenantID, name)
	if err != nil && !errors.Is(err, table.ErrNotFound) {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	sealed := table.Sealed{Name: name, Version: last.Version + 1, Display: display(value), Host: host, SetAt: v.clock.Now()}
	key, err := v.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &v.key, KeySpec: types.DataKeySpecAes256, EncryptionContext: binding(tenantID, sealed)})
	if err != nil {
		return fmt.Errorf("put secret %s: make a data key: %w", name, err)
	}
	sealed.WrappedKey = key.CiphertextBlob
	if sealed.Ciphertext, err = seal(key.Plaintext, tenantID, sealed, value); err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	if err := v.rows.PutSecret(ctx, tenantID, sealed, by); err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	return nil
}

// Open returns a secret's newest value, and the host of a git token. It returns
// ErrNotSet when there is none.
func (v *Vault) Open(ctx context.Context, tenantID, name string) (value, host string, err error) {
	sealed, err := v.rows.Secret(ctx, tenantID, name)
	if errors.Is(err, table.ErrNotFound) || err == nil && !sealed.In(topology.InTable) {
		return "", "", ErrNotSet
	}
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: %w", name, err)
	}
	key, err := v.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &v.key, CiphertextBlob: sealed.WrappedKey, EncryptionContext: binding(tenantID, sealed)})
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: unwrap its key: %w", name, err)
	}
	if value, err = unseal(key.Plaintext, tenantID, sealed, sealed.Ciphertext); err != nil {
		return "", "", fmt.Errorf("open secret %s: %w", name, err)
	}
	return value, sealed.Host, nil
}

// DeleteSecret forgets every version of a secret.
func (v *Vault) DeleteSecret(ctx context.Context, tenantID, name string, by table.By) error {
	return v.rows.DeleteSecret(ctx, tenantID, name, by)
}

// DeleteAll forgets every secret of a tenant.
func (v *Vault) DeleteAll(ctx context.Context, tenantID string, by table.By) error {
	if err := v.rows.DeleteSecrets(ctx, tenantID, by); err != nil {
		return fmt.Errorf("delete all secrets: %w", err)
	}
	return nil
}
