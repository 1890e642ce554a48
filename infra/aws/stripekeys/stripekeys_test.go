package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/sdktest"
	secrets "outpost/infra/local/secretsmanager"
	"outpost/shared/platform"
)

const (
	testKey = "sk_" + "test_inclear"
	liveKey = "rk_" + "live_inclear"
	hook    = "whsec_" + "inclear"
)

// vault is a Secrets Manager with the secrets that two data stacks make.
func vault(t *testing.T) (*secretsmanager.Client, func(env map[string]string, args ...string) (string, error)) {
	t.Helper()
	s, err := secrets.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdktest.Config(t, s.Handler())
	client := secretsmanager.NewFromConfig(cfg)
	for _, env := range []string{"dev", "prod"} {
		name, text := "outpost-"+env+"/platform", `{"pepper_version":"v1","pepper":"`+strings.Repeat("aB3d", 11)+`","later":"kept"}`
		if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "cdk.json")
	if err := os.WriteFile(file, []byte(`{"context": {"environments": {"dev": {"region": "us-east-1"}, "prod": {"stripe_live": true}, "staging": {}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) { return cfg, nil }
	return client, func(env map[string]string, args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"-cdk-json", file}, args...), func(name string) string { return env[name] }, load, &out)
		if err != nil && strings.Contains(err.Error(), "inclear") || strings.Contains(out.String(), "inclear") {
			t.Errorf("it shows a secret: %s, %v", out.String(), err)
		}
		return out.String(), err
	}
}

func stored(t *testing.T, client *secretsmanager.Client, env string) platform.Stripe {
	t.Helper()
	s, err := platform.Load(t.Context(), client, "outpost-"+env+"/platform")
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := s.Stripe()
	return keys
}

func TestKeysAreSetAndRolledEachByItself(t *testing.T) {
	client, put := vault(t)
	for _, c := range []struct {
		key, hook string
		want      platform.Stripe
	}{
		{testKey, hook, platform.Stripe{Key: testKey, WebhookSecret: hook}},
		{testKey + "2", "", platform.Stripe{Key: testKey + "2", WebhookSecret: hook}},
		{"", hook + "2", platform.Stripe{Key: testKey + "2", WebhookSecret: hook + "2"}},
		{"", hook + "2", platform.Stripe{Key: testKey + "2", WebhookSecret: hook + "2"}},
	} {
		if out, err := put(map[string]string{"STRIPE_SECRET_KEY": c.key, "STRIPE_WEBHOOK_SECRET": c.hook}, "-env", "dev"); err != nil || !strings.Contains(out, "outpost-dev/platform") || stored(t, client, "dev") != c.want {
			t.Errorf("%v, %v", out, err)
		}
	}
	if _, err := put(map[string]string{"STRIPE_SECRET_KEY": liveKey, "STRIPE_WEBHOOK_SECRET": hook}, "-env", "prod"); err != nil || stored(t, client, "prod").Key != liveKey {
		t.Error(err)
	}
	name := "outpost-dev/platform"
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil || !strings.Contains(*out.SecretString, `"later":"kept"`) || !strings.Contains(*out.SecretString, strings.Repeat("aB3d", 11)) {
		t.Errorf("the document lost something: %v", err)
	}
}

func TestWhatDoesNotFitIsOneSentenceAndChangesNothing(t *testing.T) {
	client, put := vault(t)
	both := func(key, hook string) map[string]string {
		return map[string]string{"STRIPE_SECRET_KEY": key, "STRIPE_WEBHOOK_SECRET": hook}
	}
	for _, c := range []struct {
		why, env string
		set      map[string]string
		says     string
	}{
		{"no environment", "", both(testKey, hook), "which environment"},
		{"an environment of nobody", "none", both(testKey, hook), `no environment "none"`},
		{"no secret there", "staging", both(testKey, hook), "read the platform secret"},
		{"nothing given", "dev", nil, "STRIPE_SECRET_KEY"},
		{"half of it, and nothing before", "dev", both(testKey, ""), "whsec_"},
		{"the other half", "dev", both("", hook), "sk_ or rk_"},
		{"the two swapped", "dev", both(hook, testKey), "sk_ or rk_"},
		{"a live key", "dev", both(liveKey, hook), "stripe_live of dev is false"},
		{"a test key", "prod", both(testKey, hook), "stripe_live of prod is true"},
	} {
		if _, err := put(c.set, "-env", c.env); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	for _, env := range []string{"dev", "prod"} {
		if got := stored(t, client, env); got != (platform.Stripe{}) {
			t.Errorf("%s has something", env)
		}
	}
}
