package platform_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/sdktest"
	local "outpost/infra/local/secretsmanager"
	"outpost/shared/apikey"
	"outpost/shared/platform"
)

func TestStripesSecretsAreSetBesideTheOthersAndReplaced(t *testing.T) {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, name := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler())), "outpost/platform"
	text := document(t, platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32))})
	if _, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text}); err != nil {
		t.Fatal(err)
	}
	operator, err := apikey.New(apikey.Live)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Appoint(t.Context(), c, local.ARN(name), operator); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"sk_" + "test_a", "rk_" + "live_b"} {
		want := platform.Stripe{Key: key, WebhookSecret: "whsec_" + key}
		if err := platform.SetStripe(t.Context(), c, local.ARN(name), want); err != nil {
			t.Fatal(err)
		}
		secrets, err := platform.Load(t.Context(), c, local.ARN(name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := secrets.Stripe(); err != nil || got != want || !secrets.IsOperator(operator) || got.Live() != strings.Contains(key, "live") {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestStripesSecretsThatWillNotDoAreRefusedUnquoted(t *testing.T) {
	for why, s := range map[string]platform.Stripe{
		"none":                       {},
		"no webhook secret":          {Key: "sk_" + "test_clear"},
		"an empty webhook secret":    {Key: "sk_" + "test_clear", WebhookSecret: "whsec_"},
		"another's webhook secret":   {Key: "sk_" + "test_clear", WebhookSecret: "clear"},
		"a publishable key":          {Key: "pk_" + "test_clear", WebhookSecret: "whsec_clear"},
		"the other way round":        {Key: "whsec_clear", WebhookSecret: "sk_" + "test_clear"},
		"a webhook secret and a nil": {WebhookSecret: "whsec_clear"},
	} {
		if err := s.Check(); err == nil || strings.Contains(err.Error(), "clear") {
			t.Errorf("%s: %v", why, err)
		}
		secrets, err := (platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32)), Stripe: s}).Secrets()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := secrets.Stripe(); err == nil {
			t.Errorf("%s: given to a function", why)
		}
	}
}
