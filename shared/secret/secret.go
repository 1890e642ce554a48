// Package secret keeps tenants' secrets: provider keys and git tokens. Each
// version is encrypted under a data key of its own, with the tenant, the name and
// the version as data that the cipher authenticates: a ciphertext that was moved
// does not decrypt. The table says which secrets are set, and a change of one is a
// transaction there, with the check of the caller's key and the audit event.
//
// There are two stores of one conduct. A Vault has the ciphertext in the table,
// and its key wrapped by KMS. A Depository has the key in the table and the
// ciphertext in Secrets Manager.
package secret

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"outpost/shared/agent"
	"outpost/shared/table"
)

// GitToken is the name of the secret that reads a tenant's repositories.
const GitToken = "GIT_TOKEN"

// maxValue bounds a secret's value, in bytes.
const maxValue = 8 << 10

var (
	// ErrNotSet means that the tenant has no secret of that name in the store.
	ErrNotSet = errors.New("the secret is not set")
	// ErrFull means that a value does not fit beside the tenant's others.
	ErrFull = errors.New("the tenant's secrets are too large together")
	// ErrTooOften means that the store takes no further change today.
	ErrTooOften = errors.New("the tenant's secrets were changed too often")
)

// Names lists every secret that a tenant can set.
func Names() []string {
	var names []string
	for _, p := range agent.Providers() {
		names = append(names, p.Secret)
	}
	return append(names, GitToken)
}

// Store keeps the secrets of all tenants.
type Store interface {
	// Put stores a new version of a secret and keeps the one before. host is where
	// a git token may go, and empty for every other secret. It returns ErrFull,
	// ErrTooOften, table.ErrKeyRevoked, and table.ErrConflict when it is worth trying later.
	Put(ctx context.Context, tenantID, name, value, host string, by table.By) error
	// Open returns a secret's newest value, and the host of a git token, or
	// ErrNotSet.
	Open(ctx context.Context, tenantID, name string) (value, host string, err error)
	Forgetter
}

// Forgetter is the part of a Store that opens nothing.
type Forgetter interface {
	// DeleteSecret forgets every version of a secret. It returns
	// table.ErrNotFound where there is none, table.ErrKeyRevoked, and
	// table.ErrConflict.
	DeleteSecret(ctx context.Context, tenantID, name string, by table.By) error
	// DeleteAll forgets every secret of a tenant, with one audit event where there
	// was any, and leaves nothing of them in any service. It may be repeated.
	DeleteAll(ctx context.Context, tenantID string, by table.By) error
}

// check tells what is wrong with a secret that is to be stored.
func check(name, value, host string) error {
	if !slices.Contains(Names(), name) {
		return fmt.Errorf("no secret is called %q", name)
	}
	if value == "" || len(value) > maxValue {
		return fmt.Errorf("a secret has 1 to %d bytes", maxValue)
	}
	if (name == GitToken) != (host != "") {
		return errors.New("a git token needs a host, and no other secret has one")
	}
	return nil
}

func binding(tenantID string, s table.Sealed) map[string]string {
	return map[string]string{"tenant": tenantID, "secret": s.Name, "version": strconv.Itoa(s.Version)}
}

// associated is the binding as data that the cipher authenticates too.
func associated(bound map[string]string) []byte {
	return []byte(bound["tenant"] + "\x00" + bound["secret"] + "\x00" + bound["version"])
}

// seal encrypts the value of a version of a tenant's secret.
func seal(key []byte, tenantID string, s table.Sealed, value string) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, []byte(value), associated(binding(tenantID, s))), nil
}

// unseal decrypts what was sealed as that version of that tenant's secret.
func unseal(key []byte, tenantID string, s table.Sealed, ciphertext []byte) (string, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, nil, ciphertext, associated(binding(tenantID, s)))
	if err != nil {
		return "", errors.New("it is not what was sealed")
	}
	return string(plain), nil
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
