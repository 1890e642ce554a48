package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"outpost/shared/table"
)

// document is the JSON secret of a tenant: ciphertexts by name and version.
type document map[string][]byte

// maxDocument is what a secret of Secrets Manager holds, in bytes.
const maxDocument = 64 << 10

// errMissing means that what the table names is not in Secrets Manager.
var errMissing = errors.New("its value is not in Secrets Manager")

// entry is the name of a version in a document.
func entry(s table.Sealed) string { return fmt.Sprintf("%s#%d", s.Name, s.Version) }

// name is that of a tenant's secret of a number.
func (d *Depository) name(tenantID string, number int) string {
	return fmt.Sprintf("%s%s/%d", d.prefix, tenantID, number)
}

// read returns the document that a deposit names, or errMissing.
func (d *Depository) read(ctx context.Context, tenantID string, at table.Deposit) (document, error) {
	if at.Version == "" {
		return nil, errMissing
	}
	name := d.name(tenantID, at.Number)
	out, err := d.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: &at.Version})
	var missing *types.ResourceNotFoundException
	var deleted *types.InvalidRequestException
	switch {
	case errors.As(err, &missing), errors.As(err, &deleted):
		return nil, fmt.Errorf("%w: %s", errMissing, name)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case out.SecretString == nil:
		return nil, fmt.Errorf("%w: %s holds no text", errMissing, name)
	}
	var doc document
	if err := json.Unmarshal([]byte(*out.SecretString), &doc); err != nil {
		return nil, fmt.Errorf("read %s: it is not what was written", name) // the text is a secret
	}
	return doc, nil
}

// readPatiently reads a document that is there, though it may not show yet.
func (d *Depository) readPatiently(ctx context.Context, tenantID string, at table.Deposit) (doc document, err error) {
	for try := range maxReads {
		if doc, err = d.read(ctx, tenantID, at); !errors.Is(err, errMissing) {
			return doc, err
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// write makes a document the version that next names, in the tenant's secret,
// which it makes where there is none.
func (d *Depository) write(ctx context.Context, tenantID string, now table.Deposit, next *table.Deposit, doc document) error {
	body, err := json.Marshal(doc) // sorted: the same document is the same text
	if err != nil {
		return err
	}
	if len(body) > maxDocument {
		return fmt.Errorf("%w: they would take %d of %d bytes", ErrFull, len(body), maxDocument)
	}
	next.Changes++
	name, text := d.name(tenantID, next.Number), string(body)
	if now.Version == "" {
		about := "The secrets of a tenant of Outpost, which writes and deletes this"
		var exists *types.ResourceExistsException // by a caller who died
		_, err := d.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, Description: &about})
		if err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("make %s: %w", name, err)
		}
	}
	var missing *types.ResourceNotFoundException
	for try := range maxReads {
		_, err = d.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text, ClientRequestToken: &next.Version,
			VersionStages: []string{"AWSCURRENT", label(next.Changes)}})
		if now.Version != "" || !errors.As(err, &missing) { // a new one may not show yet
			break
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	var full *types.LimitExceededException
	if errors.As(err, &full) {
		return fmt.Errorf("%w: Secrets Manager takes a hundred versions of %s a day: %w", ErrTooOften, name, err)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// label keeps the version that counts from being forgotten by Secrets Manager,
// which may do so with versions that have no label: two labels take turns, so
// that no write takes away that of the version that it is to replace.
func label(changes int) string {
	if changes%2 == 0 {
		return "OUTPOST_EVEN"
	}
	return "OUTPOST_ODD"
}

// sweep deletes the secret that a deposit says is empty, if any.
func (d *Depository) sweep(ctx context.Context, tenantID string, now *table.Deposit) error {
	if now.Emptied == 0 {
		return nil
	}
	if err := d.remove(ctx, tenantID, now.Emptied); err != nil {
		return err
	}
	if err := d.rows.ForgetEmptied(ctx, tenantID, now.Emptied); err != nil {
		return err
	}
	now.Emptied = 0
	return nil
}

// remove deletes a secret for ever. One that is not there is no error. A recovery
// window would bring back nothing: the keys of what it held are gone.
func (d *Depository) remove(ctx context.Context, tenantID string, number int) error {
	name, force := d.name(tenantID, max(number, 1)), true
	if _, err := d.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: &force}); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
