package secretsmanager_test

import (
	"errors"
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
