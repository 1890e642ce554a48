package artifact_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"outpost/infra/local/engines"
	"outpost/infra/local/s3"
	"outpost/shared/artifact"
	"outpost/shared/task"
)

const bucket = "artifacts"

// put sends a presigned upload as a worker does.
func put(t *testing.T, to string, headers map[string]string, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func read(t *testing.T, from string) (int, string) {
	t.Helper()
	res, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func announce(name, body string) task.Artifact {
	sum := sha256.Sum256([]byte(body))
	return task.Artifact{Name: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}
}

// One test, since a process has one S3 server.
func TestAgainstARealS3Server(t *testing.T) {
	e, err := s3.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	cfg := aws.Config{Region: engines.Region, BaseEndpoint: &e.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	name := bucket
	if _, err := awss3.NewFromConfig(cfg, func(o *awss3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	store, ctx := artifact.New(cfg, bucket), t.Context()
	key := artifact.Key("ten_a", "run_b", 2, task.ArtifactPatch)
	if log := artifact.Key("ten_a", "run_b", 2, task.ArtifactLog); key != "results/ten_a/run_b/2/patch.diff" || log != "logs/ten_a/run_b/2/agent.log" {
		t.Errorf("keys %s and %s", key, log)
	}
	const body = "diff --git a/x b/x\n\xff\x00"
	presign := func(t *testing.T, a task.Artifact) (string, map[string]string) {
		t.Helper()
		to, headers, err := store.PresignPut(ctx, key, a)
		if err != nil {
			t.Fatal(err)
		}
		return to, headers
	}

	t.Run("nothing was uploaded", func(t *testing.T) {
		if _, err := store.Get(ctx, key, 100); !errors.Is(err, artifact.ErrMissing) {
			t.Errorf("%v", err)
		}
		from, err := store.PresignGet(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := read(t, from); status != 404 {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("what was not announced is refused", func(t *testing.T) {
		to, headers := presign(t, announce(task.ArtifactPatch, body))
		// A signed length is refused before the body is sent.
		if u, err := url.Parse(to); err != nil || !strings.Contains(u.Query().Get("X-Amz-SignedHeaders"), "content-length") {
			t.Errorf("the length is not signed: %s", to)
		}
		elsewhere := strings.Replace(to, "run_b", "run_c", 1)
		without := map[string]string{}
		for why, c := range map[string]struct {
			to, body string
			headers  map[string]string
		}{
			"other bytes of that length": {to, strings.Repeat("x", len(body)), headers},
			"longer":                     {to, body + "x", headers},
			"shorter":                    {to, body[1:], headers},
			"another run's key":          {elsewhere, body, headers},
			"without its checksum":       {to, body, without},
			"another checksum":           {to, "evil", checksum(headers, announce("", "evil"))},
		} {
			if status := put(t, c.to, c.headers, c.body); status < 400 {
				t.Errorf("%s: answered %d", why, status)
			}
		}
		if _, err := store.Get(ctx, key, 100); !errors.Is(err, artifact.ErrMissing) {
			t.Errorf("something refused was stored: %v", err)
		}
	})
	t.Run("what was announced is kept", func(t *testing.T) {
		to, headers := presign(t, announce(task.ArtifactPatch, body))
		for range 2 { // an upload whose answer was lost is repeated
			if status := put(t, to, headers, body); status != 200 {
				t.Fatalf("answered %d", status)
			}
		}
		if got, err := store.Get(ctx, key, 100); err != nil || string(got) != body {
			t.Errorf("%q, %v", got, err)
		}
		from, err := store.PresignGet(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if status, got := read(t, from); status != 200 || got != body {
			t.Errorf("%d %q", status, got)
		}
		if status, _ := read(t, strings.Replace(from, "patch.diff", "agent.log", 1)); status != 403 {
			t.Errorf("another key by the same signature: %d", status)
		}
		u, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		if seconds := u.Query().Get("X-Amz-Expires"); seconds != strconv.Itoa(int(artifact.URLLife.Seconds())) {
			t.Errorf("a URL is good for %s seconds", seconds)
		}
	})
	t.Run("what is written once stays", func(t *testing.T) {
		once := artifact.AuditFile("ten_a", "2026-11-23")
		var wait sync.WaitGroup
		got := make([]string, 8)
		for i := range got {
			wait.Go(func() {
				stored, err := store.PutOnce(ctx, once, []byte{byte('a' + i)})
				if err != nil {
					t.Error(err)
				}
				got[i] = string(stored)
			})
		}
		wait.Wait()
		there, err := store.Get(ctx, once, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if g != string(there) {
				t.Errorf("one of many writers was told %q, %q is stored", g, there)
			}
		}
		for _, k := range artifact.Kinds {
			if strings.HasPrefix(once, k.Prefix) {
				t.Errorf("%s is deleted after %d days", once, k.Days)
			}
		}
	})
	t.Run("a tenant's artifacts are removed, and nothing else", func(t *testing.T) {
		const mine, other = "ten_01KARG8S2X9V5T1M3N4P6Q7R8S", "ten_01KARG8S2X9V5T1M3N4P6Q7R8T"
		client := awss3.NewFromConfig(cfg, func(o *awss3.Options) { o.UsePathStyle = true })
		put := func(key string) {
			if _, err := client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader("x")}); err != nil {
				t.Error(err)
			}
		}
		const logs = 1001 // more than a page
		var wait sync.WaitGroup
		for w := range 13 {
			wait.Go(func() {
				for n := w; n < logs; n += 13 {
					put(artifact.Key(mine, "run_"+strconv.Itoa(n), 1, task.ArtifactLog))
				}
			})
		}
		wait.Wait()
		put(artifact.Key(mine, "run_a", 1, task.ArtifactPatch))
		kept := []string{artifact.Key(other, "run_a", 1, task.ArtifactPatch), artifact.Key(other, "run_a", 1, task.ArtifactLog), artifact.AuditFile(mine, "2026-11-23"),
			"results/" + mine + "x/run/1/patch.diff", mine + "/results/x"}
		for _, key := range kept {
			put(key)
		}
		for _, want := range []int{1001, 1, 0, 0} { // a page of logs with the one result, what is left, and nothing
			if removed, err := store.Remove(ctx, mine); err != nil || removed != want {
				t.Errorf("%d were removed, not %d: %v", removed, want, err)
			}
		}
		for _, key := range kept {
			if _, err := store.Get(ctx, key, 10); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		for _, bad := range []string{"", "ten_", "ten_a", "/", "../audit", other + "/", "run_01KARG8S2X9V5T1M3N4P6Q7R8S"} {
			if removed, err := store.Remove(ctx, bad); err == nil || removed != 0 {
				t.Errorf("%q: %d were removed", bad, removed)
			}
		}
	})
	t.Run("an empty artifact", func(t *testing.T) {
		to, headers := presign(t, announce(task.ArtifactPatch, ""))
		if status := put(t, to, headers, ""); status != 200 {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("a checksum that is none", func(t *testing.T) {
		if _, _, err := store.PresignPut(ctx, key, task.Artifact{SHA256: "zz"}); err == nil {
			t.Error("it was signed")
		}
	})
}

// checksum replaces the announced checksum by that of something else.
func checksum(headers map[string]string, a task.Artifact) map[string]string {
	out := map[string]string{}
	for name, value := range headers {
		if out[name] = value; strings.EqualFold(name, "X-Amz-Checksum-Sha256") {
			out[name] = a.SHA256
		}
	}
	return out
}
