package platform_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/sdktest"
	local "outpost/infra/local/secretsmanager"
	"outpost/shared/platform"
)

// load stores a document and loads it.
func load(t *testing.T, document string) (*platform.Secrets, error) {
	t.Helper()
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, name := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler())), "outpost/platform"
	if document != "" {
		if _, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &document}); err != nil {
			t.Fatal(err)
		}
	}
	return platform.Load(t.Context(), c, local.ARN(name))
}

func document(t *testing.T, d platform.Document) string {
	t.Helper()
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestTheSecretGivesHasherAndSigner(t *testing.T) {
	d := platform.Document{PepperVersion: "v3", Pepper: []byte(strings.Repeat("p", 32))}
	s, err := load(t, document(t, d))
	if err != nil {
		t.Fatal(err)
	}
	if h := s.Hasher().Hash("k"); !strings.HasPrefix(h, "v3.") {
		t.Errorf("hash %s", h)
	}
	same, err := d.Secrets()
	if err != nil || same.Hasher().Hash("k") != s.Hasher().Hash("k") || s.Signer() == nil {
		t.Errorf("%v", err)
	}
}

func TestASecretThatWillNotDoIsAnErrorThatDoesNotQuoteIt(t *testing.T) {
	for why, text := range map[string]string{
		"missing":    "",
		"no JSON":    "pepper-in-the-clear",
		"a list":     `["pepper-in-the-clear"]`,
		"no base64":  `{"pepper_version":"v1","pepper":"pepper-in-the-clear"}`,
		"no version": document(t, platform.Document{Pepper: []byte(strings.Repeat("p", 32))}),
		"weak":       document(t, platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 31))}),
		"empty":      "{}",
	} {
		s, err := load(t, text)
		if err == nil || s != nil || strings.Contains(err.Error(), "pepper-in-the-clear") {
			t.Errorf("%s: %v", why, err)
		}
	}
}
