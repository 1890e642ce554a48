// Package secret keeps tenants' secrets: provider keys and git tokens. Each
// version is encrypted under a data key of its own, which KMS wraps with the
// tenant, the name and the version as encryption context: a ciphertext moved to
// another row does not decrypt.
package secret

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"outpost/shared/agent"
	"outpost/shared/clock"
	"outpost/shared/table"
)

// GitToken is the name of the secret that reads a tenant's repositories.
const GitToken = "GIT_TOKEN"

// maxValue bounds a secret's value, in bytes.
const maxValue = 8 << 10

// ErrNotSet means that the tenant has no secret of that name.
var ErrNotSet = errors.New("the secret is not set")

// Names lists every secret that a tenant can set.
func Names() []string {
	var names []string
	for _, p := range agent.Providers() {
		names = append(names, p.Secret)
	}
	return append(names, GitToken)
}

// Store keeps sealed secrets.
type Store interface {
	PutSecret(ctx context.Context, tenantID string, s table.Sealed, by table.By) error
	Secret(ctx context.Context, tenantID, name string) (table.Sealed, error)
}

// Vault seals and opens secrets.
type Vault struct {
	kms   *kms.Client
	key   string
	store Store
	clock clock.Clock
}

// NewVault returns a Vault under the KMS key of that ARN.
func NewVault(client *kms.Client, keyARN string, store Store) *Vault {
	return &Vault{client, keyARN, store, clock.System}
}

// maxPuts bounds how often a new version is tried that somebody else was faster
// to put.
const maxPuts = 5

// Put stores a new version of a secret. host is where a git token may go, and
// empty for every other secret.
func (v *Vault) Put(ctx context.Context, tenantID, name, value, host string, by table.By) (err error) {
	if !slices.Contains(Names(), name) {
		return fmt.Errorf("no secret is called %q", name)
	}
	if value == "" || len(value) > maxValue {
		return fmt.Errorf("a secret has 1 to %d bytes", maxValue)
	}
	if (name == GitToken) != (host != "") {
		return errors.New("a git token needs a host, and no other secret has one")
	}
	for range maxPuts {
		if err = v.put(ctx, tenantID, name, value, host, by); !errors.Is(err, table.ErrExists) {
			break
		}
	}
	return err
}

func (v *Vault) put(ctx context.Context, tenantID, name, value, host string, by table.By) error {
	last, err := v.store.Secret(ctx, tenantID, name)
	if err != nil && !errors.Is(err, table.ErrNotFound) {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	sealed := table.Sealed{Name: name, Version: last.Version + 1, Display: display(value), Host: host, SetAt: v.clock.Now()}
	bound := binding(tenantID, sealed)
	key, err := v.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &v.key, KeySpec: types.DataKeySpecAes256, EncryptionContext: bound})
	if err != nil {
		return fmt.Errorf("put secret %s: make a data key: %w", name, err)
	}
	aead, err := newAEAD(key.Plaintext)
	if err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	sealed.Ciphertext, sealed.WrappedKey = aead.Seal(nil, nil, []byte(value), associated(bound)), key.CiphertextBlob
	if err := v.store.PutSecret(ctx, tenantID, sealed, by); err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	return nil
}

// Open returns a secret's newest value, and the host of a git token. It returns
// ErrNotSet when there is none.
func (v *Vault) Open(ctx context.Context, tenantID, name string) (value, host string, err error) {
	sealed, err := v.store.Secret(ctx, tenantID, name)
	if errors.Is(err, table.ErrNotFound) {
		return "", "", ErrNotSet
	}
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: %w", name, err)
	}
	bound := binding(tenantID, sealed)
	key, err := v.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &v.key, CiphertextBlob: sealed.WrappedKey, EncryptionContext: bound})
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: unwrap its key: %w", name, err)
	}
	aead, err := newAEAD(key.Plaintext)
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: %w", name, err)
	}
	plain, err := aead.Open(nil, nil, sealed.Ciphertext, associated(bound))
	if err != nil {
		return "", "", fmt.Errorf("open secret %s: it is not what was sealed", name)
	}
	return string(plain), sealed.Host, nil
}

func binding(tenantID string, s table.Sealed) map[string]string {
	return map[string]string{"tenant": tenantID, "secret": s.Name, "version": strconv.Itoa(s.Version)}
}

// associated is the binding as data that the cipher authenticates too.
func associated(bound map[string]string) []byte {
	return []byte(bound["tenant"] + "\x00" + bound["secret"] + "\x00" + bound["version"])
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// display is a value's last four characters; a short one shows none.
func display(value string) string {
	if len(value) < 12 {
		return "…"
	}
	return "…" + value[len(value)-4:]
}
