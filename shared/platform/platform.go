// Package platform reads the platform's own secret: one JSON document in
// Secrets Manager, read once at a function's start.
package platform

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/apikey"
	"outpost/shared/token"
)

// Document is the JSON of the secret.
type Document struct {
	PepperVersion string `json:"pepper_version"`
	Pepper        []byte `json:"pepper"` // base64 of at least 32 random bytes
	// OperatorKeyHash is the hash of the operator's key.
	OperatorKeyHash string `json:"operator_key_hash,omitempty"`
	Stripe
}

// Secrets are what the document gives to functions.
type Secrets struct {
	hasher   *apikey.Hasher
	signer   *token.Signer
	operator string // hash of the operator's key; empty: there is no operator
	pepper   []byte
	stripe   Stripe
}

// Appoint makes a key the operator's, instead of any before, and returns the
// secrets. It keeps what else the document holds.
func Appoint(ctx context.Context, client *secretsmanager.Client, arn, key string) (*Secrets, error) {
	if err := apikey.Check(key); err != nil {
		return nil, err
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return nil, fmt.Errorf("read the platform secret: %w", err)
	}
	secrets, err := parse(out.SecretString)
	if err != nil || secrets.IsOperator(key) {
		return secrets, err
	}
	hash := secrets.hasher.Hash(key)
	if err := change(ctx, client, arn, *out.SecretString, func(document map[string]any) { document["operator_key_hash"] = hash }); err != nil {
		return nil, err
	}
	secrets.operator = hash
	return secrets, nil
}

// Load reads the secret. A document that is missing, malformed or weak is an
// error: the function must not start.
func Load(ctx context.Context, client *secretsmanager.Client, arn string) (*Secrets, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return nil, fmt.Errorf("read the platform secret: %w", err)
	}
	return parse(out.SecretString)
}

// errMalformed does not say what is wrong: that would quote the secret.
var errMalformed = errors.New("the platform secret is not the JSON document that it should be")

func parse(text *string) (*Secrets, error) {
	if text == nil {
		return nil, errors.New("the platform secret is not a string")
	}
	var d Document
	if err := json.Unmarshal([]byte(*text), &d); err != nil {
		return nil, errMalformed
	}
	return d.Secrets()
}

// Secrets checks the document and returns what it gives.
func (d Document) Secrets() (*Secrets, error) {
	hasher, err := apikey.NewHasher(d.PepperVersion, d.Pepper)
	if err != nil {
		return nil, err
	}
	signer, err := token.NewSigner(d.Pepper)
	if err != nil {
		return nil, err
	}
	return &Secrets{hasher, signer, d.OperatorKeyHash, d.Pepper, d.Stripe}, nil
}

// Stripe gives Stripe's secrets. A function that needs them must not start where
// they are missing or malformed: that is an error.
func (s *Secrets) Stripe() (Stripe, error) { return s.stripe, s.stripe.Check() }

// CursorKey is the key under which the cursors of lists are signed.
func (s *Secrets) CursorKey() []byte { return s.derived("cursors") }

// ReturnKey is the key under which ways back from Checkout are signed.
func (s *Secrets) ReturnKey() []byte { return s.derived("returns from Checkout") }

// Issuer makes API keys.
func (s *Secrets) Issuer() *apikey.Issuer { return apikey.NewIssuer(s.hasher, s.derived("API keys")) }

// derived returns 32 bytes that follow from the pepper and a purpose, by
// HKDF-SHA256: keys of different purposes tell nothing of each other.
func (s *Secrets) derived(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.pepper, nil, "outpost "+purpose+" v1", 32)
	if err != nil {
		panic("platform: " + err.Error()) // only for a longer key, or a weaker hash
	}
	return key
}

// Hasher hashes API keys.
func (s *Secrets) Hasher() *apikey.Hasher { return s.hasher }

// Signer signs workers' tokens.
func (s *Secrets) Signer() *token.Signer { return s.signer }

// IsOperator tells whether a key is the operator's, in a time that does not
// depend on the key. Where the document names none, nobody is.
func (s *Secrets) IsOperator(key string) bool {
	return s.operator != "" && subtle.ConstantTimeCompare([]byte(s.hasher.Hash(key)), []byte(s.operator)) == 1
}
