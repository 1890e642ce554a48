package kms_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
)

func TestADataKeyUnwrapsUnderItsOwnContextAlone(t *testing.T) {
	key, dir := "arn:aws:kms:us-east-1:000000000000:key/k", t.TempDir()
	client := func() *awskms.Client {
		s, err := kms.Open(key, dir)
		if err != nil {
			t.Fatal(err)
		}
		return awskms.NewFromConfig(sdktest.Config(t, s.Handler()))
	}
	bound := map[string]string{"tenant": "a", "secret": "S", "version": "1"}
	made, err := client().GenerateDataKey(t.Context(), &awskms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, EncryptionContext: bound})
	if err != nil {
		t.Fatal(err)
	}
	c := client() // the material is kept
	got, err := c.Decrypt(t.Context(), &awskms.DecryptInput{KeyId: &key, CiphertextBlob: made.CiphertextBlob, EncryptionContext: bound})
	if err != nil || string(got.Plaintext) != string(made.Plaintext) {
		t.Errorf("unwrap: %v", err)
	}
	var invalid *types.InvalidCiphertextException
	for _, other := range []map[string]string{nil, {"tenant": "b", "secret": "S", "version": "1"}, {"tenant": "a", "secret": "S", "version": "2"}} {
		if _, err := c.Decrypt(t.Context(), &awskms.DecryptInput{KeyId: &key, CiphertextBlob: made.CiphertextBlob, EncryptionContext: other}); !errors.As(err, &invalid) {
			t.Errorf("under %v: %v", other, err)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	key, other := "arn:aws:kms:us-east-1:000000000000:key/k", "arn:aws:kms:us-east-1:000000000000:key/other"
	s, err := kms.Open(key, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := awskms.NewFromConfig(sdktest.Config(t, s.Handler())), t.Context()
	sealed, err := c.Encrypt(ctx, &awskms.EncryptInput{KeyId: &key, Plaintext: []byte("x"), EncryptionContext: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decrypt(ctx, &awskms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); err != nil || string(got.Plaintext) != "x" {
		t.Errorf("an empty context is not the same as none: %v", err)
	}
	tampered := append([]byte{}, sealed.CiphertextBlob...)
	tampered[len(tampered)-1] ^= 1
	for _, r := range []struct {
		why, code string
		call      func() error
	}{
		{"another key encrypts", "NotFoundException", func() error {
			_, err := c.Encrypt(ctx, &awskms.EncryptInput{KeyId: &other, Plaintext: []byte("x")})
			return err
		}},
		{"another key decrypts", "IncorrectKeyException", func() error {
			_, err := c.Decrypt(ctx, &awskms.DecryptInput{KeyId: &other, CiphertextBlob: sealed.CiphertextBlob})
			return err
		}},
		{"a changed ciphertext", "InvalidCiphertextException", func() error {
			_, err := c.Decrypt(ctx, &awskms.DecryptInput{CiphertextBlob: tampered})
			return err
		}},
		{"a ciphertext that is none", "InvalidCiphertextException", func() error {
			_, err := c.Decrypt(ctx, &awskms.DecryptInput{CiphertextBlob: []byte{1}})
			return err
		}},
		{"more than KMS encrypts", "ValidationException", func() error {
			_, err := c.Encrypt(ctx, &awskms.EncryptInput{KeyId: &key, Plaintext: make([]byte, 4097)})
			return err
		}},
		{"a short data key", "ValidationException", func() error {
			_, err := c.GenerateDataKey(ctx, &awskms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes128})
			return err
		}},
		{"a call that is not made", "ListKeys", func() error {
			_, err := c.ListKeys(ctx, &awskms.ListKeysInput{})
			return err
		}},
	} {
		if err := r.call(); err == nil || !strings.Contains(err.Error(), r.code) {
			t.Errorf("%s: %v", r.why, err)
		}
	}
}

func TestTheKeyIsItsOwnersAloneAndNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	if _, err := kms.Open("arn:key", dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "key.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	for _, broken := range []string{"", "{}", `{"Material":"AAAA"}`} {
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := kms.Open("arn:key", dir); err == nil {
			t.Errorf("a key was made in place of %q", broken)
		}
	}
}
