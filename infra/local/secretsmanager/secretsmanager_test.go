package secretsmanager_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"outpost/infra/local/sdktest"
	local "outpost/infra/local/secretsmanager"
)

func TestTheLifeOfASecret(t *testing.T) {
	dir := t.TempDir()
	client := func() *secretsmanager.Client {
		s, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler()))
	}
	ctx, c := t.Context(), client()
	name, one, two, arn := "outpost/x", "1", "2", local.ARN("outpost/x")
	var missing *types.ResourceNotFoundException
	if _, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name}); !errors.As(err, &missing) {
		t.Errorf("before it was made: %v", err)
	}
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &one}); err != nil {
		t.Fatal(err)
	}
	var exists *types.ResourceExistsException
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &two}); !errors.As(err, &exists) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &two}); err != nil {
		t.Fatal(err)
	}
	c = client() // it is kept
	for _, id := range []string{name, arn} {
		if got, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id}); err != nil || *got.SecretString != two {
			t.Errorf("by %s: %v", id, err)
		}
	}
	if _, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name}); !errors.As(err, &missing) {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestASecretWhoseAnswerWasLostIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler())), t.Context()
	name, value, token, other := "outpost/x", "1", "token-of-thirty-two-characters-or-more", "2"
	in := secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, ClientRequestToken: &token}
	for range 2 {
		if _, err := c.CreateSecret(ctx, &in); err != nil {
			t.Error(err)
		}
	}
	var exists *types.ResourceExistsException
	in.SecretString = &other
	if _, err := c.CreateSecret(ctx, &in); !errors.As(err, &exists) {
		t.Errorf("the same token with another value: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "secrets.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

func TestWhatIsNotKeptIsNotKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler())), t.Context()
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the folder should be
		t.Fatal(err)
	}
	name, value, stage := "outpost/x", "1", "AWSPREVIOUS"
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err == nil {
		t.Error("made, though it could not be kept")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
		t.Errorf("made again: %v", err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage}); !errors.As(err, &missing) {
		t.Errorf("an older version: %v", err)
	}
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretBinary: []byte{1}}); err == nil {
		t.Error("a binary secret was made as an empty text")
	}
	if _, err := c.ListSecrets(ctx, &secretsmanager.ListSecretsInput{}); err == nil || !strings.Contains(err.Error(), "ListSecrets") {
		t.Errorf("a call that is not made: %v", err)
	}
}
