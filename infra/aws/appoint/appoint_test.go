package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/sdktest"
	secrets "outpost/infra/local/secretsmanager"
	"outpost/shared/platform"
)

// vault is a Secrets Manager with the secret that the data stack makes: 44
// letters and digits as the pepper, and a field that a later release knows.
func vault(t *testing.T) (aws.Config, *secretsmanager.Client) {
	t.Helper()
	s, err := secrets.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdktest.Config(t, s.Handler())
	client := secretsmanager.NewFromConfig(cfg)
	name, text := "outpost-dev/platform", `{"pepper_version":"v1","pepper":"`+strings.Repeat("aB3d", 11)+`","later":"kept"}`
	if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text}); err != nil {
		t.Fatal(err)
	}
	return cfg, client
}

func TestTheAppointedKeyIsTheOperators(t *testing.T) {
	cfg, client := vault(t)
	load := func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) { return cfg, nil }
	appoint := func() string {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-env", "dev"}, load, &out); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	first := appoint()
	second := appoint()
	s, err := platform.Load(t.Context(), client, "outpost-dev/platform")
	if err != nil {
		t.Fatal(err)
	}
	if s.IsOperator(first) || !s.IsOperator(second) || s.IsOperator("") {
		t.Error("another key than the last one is the operator's")
	}
	name := "outpost-dev/platform"
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	if text := *out.SecretString; !strings.Contains(text, `"later":"kept"`) || !strings.Contains(text, strings.Repeat("aB3d", 11)) || strings.Contains(text, second[8:]) {
		t.Errorf("the document lost something, or holds the key itself: %s", text)
	}
}

func TestWhatIsMissingIsOneSentence(t *testing.T) {
	cfg, _ := vault(t)
	load := func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) { return cfg, nil }
	for args, want := range map[string]string{"": "which environment", "-env prod": "platform secret"} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(args), load, &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%q: %v, %s", args, err, out.String())
		}
	}
}
