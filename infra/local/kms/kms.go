// Package kms is the part of AWS KMS that Outpost calls: GenerateDataKey,
// Encrypt and Decrypt under one symmetric key, with the encryption context
// bound to each ciphertext.
package kms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"outpost/infra/local/awsjson"
	"outpost/infra/local/durable"
)

// Service holds the key.
type Service struct {
	arn  string
	aead cipher.AEAD
}

// Open loads the key's material from dir, or makes it there.
func Open(arn, dir string) (*Service, error) {
	path := filepath.Join(dir, "key.json")
	var kept struct{ Material []byte }
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) { // a broken file is never replaced: it may be mended
		kept.Material = make([]byte, 32)
		_, _ = rand.Read(kept.Material) // never fails
		if err := durable.Write(path, kept); err != nil {
			return nil, err
		}
	}
	if err := durable.Read(path, &kept); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kept.Material)
	if err != nil {
		return nil, fmt.Errorf("kms: %s: %w", path, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Service{arn, aead}, err
}

// Handler serves the AWS JSON protocol.
func (s *Service) Handler() awsjson.Service {
	return awsjson.Service{Name: "KMS", Operations: map[string]awsjson.Operation{
		"GenerateDataKey": awsjson.Op(s.generateDataKey),
		"Encrypt":         awsjson.Op(s.encrypt),
		"Decrypt":         awsjson.Op(s.decrypt),
	}}
}

type input struct {
	KeyId, KeySpec            string
	NumberOfBytes             int
	Plaintext, CiphertextBlob []byte
	EncryptionContext         map[string]string
}
type output struct {
	KeyId          string
	Plaintext      []byte `json:",omitempty"`
	CiphertextBlob []byte `json:",omitempty"`
}

func (s *Service) generateDataKey(ctx context.Context, in input) (output, error) {
	if in.KeySpec != "AES_256" && in.NumberOfBytes != 32 {
		return output{}, awsjson.Errorf("ValidationException", "only data keys of 32 bytes are made here")
	}
	in.Plaintext = make([]byte, 32)
	_, _ = rand.Read(in.Plaintext) // never fails
	out, err := s.encrypt(ctx, in)
	out.Plaintext = in.Plaintext
	return out, err
}

func (s *Service) encrypt(_ context.Context, in input) (output, error) {
	if in.KeyId != s.arn {
		return output{}, awsjson.Errorf("NotFoundException", "no key %s", in.KeyId)
	}
	if len(in.Plaintext) == 0 || len(in.Plaintext) > 4096 {
		return output{}, awsjson.Errorf("ValidationException", "the plaintext must have 1 to 4096 bytes")
	}
	return output{KeyId: s.arn, CiphertextBlob: s.aead.Seal(nil, nil, in.Plaintext, bound(in.EncryptionContext))}, nil
}

func (s *Service) decrypt(_ context.Context, in input) (output, error) {
	if in.KeyId != "" && in.KeyId != s.arn {
		return output{}, awsjson.Errorf("IncorrectKeyException", "the ciphertext is of another key")
	}
	plain, err := s.aead.Open(nil, nil, in.CiphertextBlob, bound(in.EncryptionContext))
	if err != nil {
		return output{}, awsjson.Errorf("InvalidCiphertextException", "the ciphertext or its context is not what was encrypted")
	}
	return output{KeyId: s.arn, Plaintext: plain}, nil
}

// bound is the context as authenticated data; JSON sorts its members. None and
// an empty one are the same.
func bound(context map[string]string) []byte {
	if len(context) == 0 {
		return nil
	}
	b, err := json.Marshal(context)
	if err != nil {
		panic(err) // a map of strings
	}
	return b
}
