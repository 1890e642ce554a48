package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"outpost/shared/clock"
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

// The writes of one object that PutOnce tries, and the pause behind the first that
// found another writer at work; each next pause is twice as long.
const (
	onceTries = 8
	oncePause = 10 * time.Millisecond
)

// PutOnce stores an object unless one lies under its key, and returns what lies
// there: of many writers one wins, and all get its bytes.
func (s *Store) PutOnce(ctx context.Context, key string, body []byte) (stored []byte, err error) {
	for n := range onceTries {
		if stored, err = s.putOnce(ctx, key, body); !errors.Is(err, ErrMissing) {
			return stored, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-clock.System.After(oncePause << n):
		}
	}
	return nil, fmt.Errorf("store %s: others write it and never end", key)
}

// putOnce returns ErrMissing while another writer's object is not there yet.
func (s *Store) putOnce(ctx context.Context, key string, body []byte) (stored []byte, err error) {
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
