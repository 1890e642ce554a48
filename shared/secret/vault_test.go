package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/secret"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

const arn = "arn:aws:kms:us-east-1:000000000000:key/k"

type world struct {
	*secret.Vault
	t            *testing.T
	store        *table.Table
	tenant, next string
}

func newWorld(t *testing.T) world {
	s, err := kms.Open(arn, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := enginetest.Table(t, clock.NewManual(settlementtest.Start))
	return world{secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, s.Handler())), arn, store), t, store,
		id.New(id.Tenant, settlementtest.Start), id.New(id.Tenant, settlementtest.Start)}
}

// someone makes a change, and is nobody in particular.
func someone() table.By {
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, settlementtest.Start), At: settlementtest.Start, Action: "secret.put", Actor: "test"}}
}

func (w world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestTheNewestVersionIsOpened(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.Open(t.Context(), w.tenant, "OPENAI_API_KEY"); !errors.Is(err, secret.ErrNotSet) {
		t.Errorf("before it is set: %v", err)
	}
	for _, value := range []string{"first", "second ü\x00", strings.Repeat("x", 8<<10)} {
		w.must(w.Put(t.Context(), w.tenant, "OPENAI_API_KEY", value, "", someone()))
		got, host, err := w.Open(t.Context(), w.tenant, "OPENAI_API_KEY")
		if got != value || host != "" || err != nil {
			t.Errorf("%q, %q, %v", got, host, err)
		}
	}
	w.must(w.Put(t.Context(), w.tenant, secret.GitToken, "a token", "github.com", someone()))
	if got, host, err := w.Open(t.Context(), w.tenant, secret.GitToken); got != "a token" || host != "github.com" || err != nil {
		t.Errorf("%q, %q, %v", got, host, err)
	}
	if _, _, err := w.Open(t.Context(), w.next, "OPENAI_API_KEY"); !errors.Is(err, secret.ErrNotSet) {
		t.Errorf("another tenant's: %v", err)
	}
}

func TestTheTableHoldsNoValue(t *testing.T) {
	w := newWorld(t)
	w.must(w.Put(t.Context(), w.tenant, "OPENAI_API_KEY", "a value of some length", "", someone()))
	s, err := w.store.Secret(t.Context(), w.tenant, "OPENAI_API_KEY")
	w.must(err)
	if strings.Contains(string(s.Ciphertext)+string(s.WrappedKey), "value") || s.Display != "…ngth" {
		t.Errorf("%+v", s)
	}
	w.must(w.Put(t.Context(), w.tenant, "OPENAI_API_KEY", "shortvalue", "", someone()))
	if s, err = w.store.Secret(t.Context(), w.tenant, "OPENAI_API_KEY"); err != nil || s.Display != "…" || s.Version != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTwoSealsOfOneValueDiffer(t *testing.T) {
	w := newWorld(t)
	var seen []string
	for range 2 {
		w.must(w.Put(t.Context(), w.tenant, "OPENAI_API_KEY", "the same", "", someone()))
		s, err := w.store.Secret(t.Context(), w.tenant, "OPENAI_API_KEY")
		w.must(err)
		seen = append(seen, string(s.Ciphertext))
	}
	if seen[0] == seen[1] {
		t.Error("equal values are seen to be equal")
	}
}

// Whoever can write to the table moves a ciphertext to where its value would be
// handed out to somebody else, or changes it.
func TestASecretThatWasMovedOrChangedDoesNotOpen(t *testing.T) {
	for why, change := range map[string]func(*world, *table.Sealed){
		"to another tenant":  func(w *world, _ *table.Sealed) { w.tenant = w.next },
		"to another name":    func(_ *world, s *table.Sealed) { s.Name = "XAI_API_KEY" },
		"to another version": func(_ *world, s *table.Sealed) { s.Version = 7 },
		"changed":            func(_ *world, s *table.Sealed) { s.Version, s.Ciphertext[20] = 2, s.Ciphertext[20]^1 },
		"cut":                func(_ *world, s *table.Sealed) { s.Version, s.Ciphertext = 2, s.Ciphertext[:10] },
		"another data key": func(_ *world, s *table.Sealed) {
			s.Version, s.WrappedKey[len(s.WrappedKey)-1] = 2, s.WrappedKey[len(s.WrappedKey)-1]^1
		},
	} {
		t.Run(why, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.Put(t.Context(), w.tenant, "OPENAI_API_KEY", "a value of some length", "", someone()))
			s, err := w.store.Secret(t.Context(), w.tenant, "OPENAI_API_KEY")
			w.must(err)
			change(&w, &s)
			w.must(w.store.PutSecret(context.Background(), w.tenant, s, someone()))
			got, _, err := w.Open(t.Context(), w.tenant, s.Name)
			if err == nil || got != "" || strings.Contains(err.Error(), "a value") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// The cipher itself is bound to its row: that does not hang on KMS alone.
func TestAMovedSecretDoesNotOpenEvenWhereKMSForgetsTheContext(t *testing.T) {
	w := newWorld(t)
	service, err := kms.Open(arn, t.TempDir())
	w.must(err)
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
	vault := secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, forgetful)), arn, w.store)
	w.must(vault.Put(t.Context(), w.tenant, "OPENAI_API_KEY", "a value", "", someone()))
	if got, _, err := vault.Open(t.Context(), w.tenant, "OPENAI_API_KEY"); got != "a value" {
		t.Fatalf("%q, %v", got, err)
	}
	s, err := w.store.Secret(t.Context(), w.tenant, "OPENAI_API_KEY")
	w.must(err)
	w.must(w.store.PutSecret(t.Context(), w.next, s, someone()))
	if got, _, err := vault.Open(t.Context(), w.next, "OPENAI_API_KEY"); err == nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsNotStored(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, value, host, why string }{
		{"AWS_SECRET_ACCESS_KEY", "v", "", "no such secret"}, {"", "v", "", "no name"}, {"openai_api_key", "v", "", "another case"},
		{"OPENAI_API_KEY", "", "", "empty"}, {"OPENAI_API_KEY", strings.Repeat("x", 8<<10+1), "", "too long"},
		{"OPENAI_API_KEY", "v", "github.com", "a host for a provider's key"}, {secret.GitToken, "v", "", "a token without a host"},
	} {
		if err := w.Put(t.Context(), w.tenant, c.name, c.value, c.host, someone()); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}

func TestEveryProvidersKeyAndTheGitTokenCanBeSet(t *testing.T) {
	w := newWorld(t)
	if len(secret.Names()) < 6 {
		t.Errorf("%v", secret.Names())
	}
	for _, name := range secret.Names() {
		host := ""
		if name == secret.GitToken {
			host = "example.com"
		}
		w.must(w.Put(t.Context(), w.tenant, name, "v", host, someone()))
	}
}
