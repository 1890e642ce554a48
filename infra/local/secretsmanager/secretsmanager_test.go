package secretsmanager_test

import (
	"errors"
	"fmt"
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
	if _, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name}); err == nil {
		t.Error("deleted as if there were a recovery window")
	}
	force := true
	for range 2 { // the second time it is not there
		if _, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: &force}); err != nil {
			t.Fatal(err)
		}
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

// A version is written once, found by its id for as long as a label is on it or it
// is among the newest, and labels move.
func TestVersionsStayAndLabelsMove(t *testing.T) {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, ctx, name := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler())), t.Context(), "outpost/x"
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name}); !errors.As(err, &missing) {
		t.Errorf("a secret without a value has one: %v", err)
	}
	put := func(id, value string, labels ...string) error {
		_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value, ClientRequestToken: &id, VersionStages: labels})
		return err
	}
	token := func(n int) string { return fmt.Sprintf("%032d", n) }
	get := func(id, label string) (string, error) {
		in := &secretsmanager.GetSecretValueInput{SecretId: &name}
		if id != "" {
			in.VersionId = &id
		}
		if label != "" {
			in.VersionStage = &label
		}
		out, err := c.GetSecretValue(ctx, in)
		if err != nil {
			return "", err
		}
		return *out.SecretString, nil
	}
	for i, labels := range [][]string{{"MINE"}, nil, {"AWSCURRENT", "OTHER"}} {
		if err := put(token(i), fmt.Sprint("value ", i), labels...); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(token(1), "value 1"); err != nil { // its answer was lost
		t.Error(err)
	}
	var exists *types.ResourceExistsException
	if err := put(token(1), "another"); !errors.As(err, &exists) {
		t.Errorf("a version was changed: %v", err)
	}
	for _, x := range []struct{ id, label, want string }{
		{"", "", "value 2"}, {"", "AWSCURRENT", "value 2"}, {"", "AWSPREVIOUS", "value 1"}, {"", "MINE", "value 0"}, {"", "OTHER", "value 2"},
		{token(0), "", "value 0"}, {token(0), "MINE", "value 0"},
	} {
		if got, err := get(x.id, x.label); got != x.want || err != nil {
			t.Errorf("version %s, label %s: %q, %v", x.id, x.label, got, err)
		}
	}
	if _, err := get(token(0), "AWSCURRENT"); err == nil {
		t.Error("a version is found by another's label")
	}
	for i := 3; i < 130; i++ {
		if err := put(token(i), "more"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := get(token(0), ""); got != "value 0" || err != nil {
		t.Errorf("a version with a label is gone: %v", err)
	}
	if _, err := get(token(1), ""); !errors.As(err, &missing) {
		t.Errorf("the hundredth version before, without a label, is there: %v", err)
	}
	if err := put(token(200), strings.Repeat("x", 65537)); err == nil {
		t.Error("65537 bytes are taken")
	}
}

func TestFilesOfEarlierDaysAreRead(t *testing.T) {
	dir, name := t.TempDir(), "outpost/platform"
	if err := os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(`{"outpost/platform":{"ID":"v1","Value":"a pepper"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := secretsmanager.NewFromConfig(sdktest.Config(t, s.Handler()))
	if out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name}); err != nil || *out.SecretString != "a pepper" {
		t.Errorf("%v", err)
	}
}
