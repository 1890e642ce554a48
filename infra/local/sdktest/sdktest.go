// Package sdktest points the AWS SDK at one local service in a test.
package sdktest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Config serves a handler for the test's time and returns the SDK's
// configuration for it.
func Config(t testing.TB, h http.Handler) aws.Config {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return aws.Config{Region: "us-east-1", BaseEndpoint: &s.URL, AppID: "test",
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} }}
}
