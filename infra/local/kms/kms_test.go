package kms_test

import (
	"errors"
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
