// Package artifact stores the outputs of runs in S3, under a prefix of their
// tenant and run. Workers and tenants transfer them by presigned URLs.
package artifact

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"outpost/shared/task"
)

// URLLife is how long a presigned URL is good for.
const URLLife = 15 * time.Minute

// ErrMissing means that nothing was uploaded under a key.
var ErrMissing = errors.New("the artifact is missing")

// Store reads and presigns artifacts of one bucket.
type Store struct {
	s3      *s3.Client
	presign *s3.PresignClient
	bucket  string
}

// New returns a Store. Buckets are addressed by path, which needs no name
// service for the bucket.
func New(cfg aws.Config, bucket string) *Store {
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	return &Store{client, s3.NewPresignClient(client, s3.WithPresignExpires(URLLife)), bucket}
}

// Kind are artifacts that are kept equally long. A bucket forgets by prefix, so
// the kind is the first part of a key.
type Kind struct {
	Prefix string
	Days   int // then the bucket deletes it
	names  []string
}

// Kinds lists them. What no kind names is of the last one.
var Kinds = []Kind{
	{"results", 365, []string{task.ArtifactPatch, task.ArtifactSummary}},
	{"logs", 30, []string{task.ArtifactLog, task.ArtifactTranscript, task.ArtifactVerifyLog}},
}

// Key is where an artifact lies.
func Key(tenantID, runID string, attempt int, name string) string {
	kind := Kinds[len(Kinds)-1]
	for _, k := range Kinds {
		if slices.Contains(k.names, name) {
			kind = k
		}
	}
	return fmt.Sprintf("%s/%s/%s/%d/%s", kind.Prefix, tenantID, runID, attempt, name)
}

// PresignPut returns a URL that stores exactly the artifact that was announced,
// by length and SHA-256, and the headers that must be sent with it.
func (s *Store) PresignPut(ctx context.Context, key string, a task.Artifact) (url string, headers map[string]string, err error) {
	sum, err := hex.DecodeString(a.SHA256)
	if err != nil {
		return "", nil, fmt.Errorf("presign %s: the SHA-256 is not hex", a.Name)
	}
	checksum := base64.StdEncoding.EncodeToString(sum)
	req, err := s.presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, ContentLength: &a.Size, ChecksumSHA256: &checksum})
	if err != nil {
		return "", nil, fmt.Errorf("presign %s: %w", a.Name, err)
	}
	return req.URL, flat(req.SignedHeader), nil
}

// PresignGet returns a URL that reads an artifact.
func (s *Store) PresignGet(ctx context.Context, key string) (url string, err error) {
	req, err := s.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return "", fmt.Errorf("presign a download: %w", err)
	}
	return req.URL, nil
}

// Get reads an artifact of at most limit bytes. It returns ErrMissing where none
// was uploaded.
func (s *Store) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("read an artifact: %w", err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read an artifact: %w", err)
	}
	return body, nil
}

// flat makes one value of each header, without those that clients set alone.
func flat(h http.Header) map[string]string {
	out := map[string]string{}
	for name := range h {
		if name != "Host" && name != "Content-Length" {
			out[name] = h.Get(name)
		}
	}
	return out
}
