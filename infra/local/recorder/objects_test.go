package recorder_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"outpost/infra/local/recorder"
	"outpost/infra/local/sdktest"
	"outpost/shared/topology"
)

// A list of keys wants the permission of where they begin, a deletion of many
// objects those of each. Whoever may remove artifacts touches nothing else.
func TestRequestsAboutManyObjectsAreHeldAgainstTheRoles(t *testing.T) {
	e, r := &engine{}, recorder.New()
	r.Handle("s3", e)
	remover, ok := topology.FunctionByName("tenant/remove")
	if !ok {
		t.Fatal("nobody removes artifacts")
	}
	r.Allow = func(_ string, p topology.Permission) bool { return slices.Contains(remover.Permissions(), p) }
	client := s3.NewFromConfig(sdktest.Config(t, r), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := "bucket"
	for prefix, allowed := range map[string]bool{"results/ten_a/": true, "logs/ten_a/": true, "": false, "results": false, "audit/ten_a/": false, "/results/": false} {
		before := e.requests.Load()
		_, _ = client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
		if got := e.requests.Load() > before; got != allowed {
			t.Errorf("a list of %q reaches the engine: %v", prefix, got)
		}
	}
	for _, c := range []struct {
		allowed bool
		keys    []string
	}{
		{true, []string{"results/ten_a/x", "logs/ten_a/y"}},
		{false, []string{"audit/ten_a/2026-11-23.jsonl.gz"}},
		{false, []string{"results/ten_a/x", "audit/ten_a/2026-11-23.jsonl.gz"}},
		{false, []string{"results"}},
	} {
		var objects []types.ObjectIdentifier
		for _, key := range c.keys {
			objects = append(objects, types.ObjectIdentifier{Key: aws.String(key)})
		}
		before := e.requests.Load()
		_, _ = client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: objects}})
		if got := e.requests.Load() > before; got != c.allowed {
			t.Errorf("a deletion of %v reaches the engine: %v", c.keys, got)
		}
	}
	before := e.requests.Load()
	key := "results/ten_a/x"
	_, _ = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if e.requests.Load() > before {
		t.Error("it reads an artifact")
	}
}
