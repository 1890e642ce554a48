// Package platform reads the platform's own secret: one JSON document in
// Secrets Manager, read once at a function's start.
package platform

import (
	"context"
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
}

// Secrets are what the document gives to functions.
type Secrets struct {
	hasher *apikey.Hasher
	signer *token.Signer
}

// Load reads the secret. A document that is missing, malformed or weak is an
// error: the function must not start.
func Load(ctx context.Context, client *secretsmanager.Client, arn string) (*Secrets, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return nil, fmt.Errorf("read the platform secret: %w", err)
	}
	if out.SecretString == nil {
		return nil, errors.New("the platform secret is not a string")
	}
	var d Document
	if err := json.Unmarshal([]byte(*out.SecretString), &d); err != nil {
		return nil, errors.New("the platform secret is not the JSON document that it should be") // the error would quote it
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
	return &Secrets{hasher, signer}, nil
}

// Hasher hashes API keys.
func (s *Secrets) Hasher() *apikey.Hasher { return s.hasher }

// Signer signs workers' tokens.
func (s *Secrets) Signer() *token.Signer { return s.signer }
