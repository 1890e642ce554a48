package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// AuditPrefix is the first part of the keys of the audit trail's exports. It is
// none of Kinds: the bucket never forgets them.
const AuditPrefix = "audit"

// AuditFile is where a tenant's events of a UTC day lie, as 2026-11-23.
func AuditFile(tenantID, day string) string {
	return fmt.Sprintf("%s/%s/%s.jsonl.gz", AuditPrefix, tenantID, day)
}

// AuditManifest is where the manifest of that file lies.
func AuditManifest(tenantID, day string) string {
	return fmt.Sprintf("%s/%s/%s.manifest.json", AuditPrefix, tenantID, day)
}

// maxOnce is the most that PutOnce reads of what lies under a key, in bytes.
const maxOnce = 1 << 30

// PutOnce stores an object unless one lies under its key, and returns what lies
// there: of many writers one wins, and all get its bytes.
func (s *Store) PutOnce(ctx context.Context, key string, body []byte) (stored []byte, err error) {
	none := "*"
	_, err = s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), IfNoneMatch: &none})
	var refused smithy.APIError
	if errors.As(err, &refused) {
		switch refused.ErrorCode() {
		case "PreconditionFailed", "ConditionalRequestConflict": // there is one, or one is being written
			return s.Get(ctx, key, maxOnce)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", key, err)
	}
	return body, nil
}
