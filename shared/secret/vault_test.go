package secret_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
	"outpost/shared/secret"
)

// The cipher itself is bound to its row: that does not hang on KMS alone.
func TestAMovedSecretDoesNotOpenEvenWhereKMSForgetsTheContext(t *testing.T) {
	w := vaultWorld(t)
	tn, by, _ := w.Tenant(t)
	other, _, _ := w.Tenant(t)
	service, err := kms.Open(arn, t.TempDir())
	must(t, err)
	forgetful := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var call map[string]any
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		delete(call, "EncryptionContext")
		body, err := json.Marshal(call)
		if err != nil {
			t.Error(err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		service.Handler().ServeHTTP(rw, r)
	})
	vault := secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, forgetful)), arn, w.Rows)
	must(t, vault.Put(t.Context(), tn, "OPENAI_API_KEY", "a value", "", by("secret.put")))
	if got, _, err := vault.Open(t.Context(), tn, "OPENAI_API_KEY"); got != "a value" {
		t.Fatalf("%q, %v", got, err)
	}
	w.Plant(other, "OPENAI_API_KEY", 1, w.Steal(tn, "OPENAI_API_KEY", 1))
	if got, _, err := vault.Open(t.Context(), other, "OPENAI_API_KEY"); err == nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}
