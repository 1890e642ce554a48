// Package s3test is S3 for the tests of a package: one server, since a process can
// have no second one, in which each test makes buckets of its own.
package s3test

import (
	"context"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"outpost/infra/local/engines"
	"outpost/infra/local/s3"
)

var (
	mu      sync.Mutex
	started *engines.Engine
	dir     string
)

// Main runs a package's tests, ends the server that they used, and removes what it
// kept. Call it in TestMain; it does not return.
func Main(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Stop()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Config reaches the server, and starts it for the first who asks. With a transport
// every call goes through it, once: no client asks again by itself.
func Config(t testing.TB, transport http.RoundTripper) aws.Config {
	t.Helper()
	e, err := server()
	if err != nil {
		t.Fatal(err)
	}
	cfg := aws.Config{Region: engines.Region, BaseEndpoint: &e.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")}
	if transport != nil {
		cfg.HTTPClient, cfg.Retryer = &http.Client{Transport: transport}, func() aws.Retryer { return aws.NopRetryer{} }
	}
	return cfg
}

func server() (*engines.Engine, error) {
	mu.Lock()
	defer mu.Unlock()
	if started != nil {
		return started, nil
	}
	var err error
	if dir, err = os.MkdirTemp("", "outpost-s3-"); err != nil {
		return nil, err
	}
	started, err = s3.Start(context.Background(), dir)
	return started, err
}
