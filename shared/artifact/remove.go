package artifact

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"outpost/shared/id"
)

// Remove deletes artifacts of a tenant, up to a thousand of each kind, and tells how
// many; 0 means that none is left. The exported audit trail is none of them.
func (s *Store) Remove(ctx context.Context, tenantID string) (removed int, err error) {
	if _, err := id.ULID(id.Tenant, tenantID); err != nil {
		return 0, fmt.Errorf("remove artifacts: %w", err)
	}
	for _, k := range Kinds {
		n, err := s.removePage(ctx, fmt.Sprintf("%s/%s/", k.Prefix, tenantID))
		removed += n
		if err != nil {
			return removed, fmt.Errorf("remove the %s of %s: %w", k.Prefix, tenantID, err)
		}
	}
	return removed, nil
}

func (s *Store) removePage(ctx context.Context, prefix string) (removed int, err error) {
	page, err := s.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	if err != nil || len(page.Contents) == 0 {
		return 0, err
	}
	var keys []types.ObjectIdentifier
	for _, o := range page.Contents {
		keys = append(keys, types.ObjectIdentifier{Key: o.Key})
	}
	quiet := true
	out, err := s.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: keys, Quiet: &quiet}})
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, e := range out.Errors {
		failed = append(failed, fmt.Errorf("%s: %s", text(e.Key), text(e.Code)))
	}
	return len(keys) - len(failed), errors.Join(failed...)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
