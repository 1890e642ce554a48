// Package enginetest gives tests a real DynamoDB engine: one a test binary, a
// fresh table a test.
package enginetest

import (
	"context"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/shared/awsclient"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
)

var engine = sync.OnceValues(func() (*engines.Engine, error) {
	return engines.DynamoDB(context.Background(), "", os.Stderr) // it dies with the test binary
})

// Transport has a connection for each request, so that what one test breaks no
// other one meets.
var Transport http.RoundTripper = &http.Transport{DisableKeepAlives: true}

// Client returns a client of the engine whose requests go through transport
// and are tried once, unless the engine's answer breaks off; nil is Transport,
// with the retries of production.
func Client(t testing.TB, transport http.RoundTripper) *dynamodb.Client {
	t.Helper()
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	retryer := awsclient.RetryBrokenAnswers() // what a test does to requests, its code sees
	if transport == nil {
		transport, retryer = Transport, awsclient.NewRetryer()
	}
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &e.Endpoint, Region: engines.Region,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
		Retryer:     retryer,
	})
}

// Table returns a fresh table under a clock.
func Table(t testing.TB, c clock.Clock) *table.Table {
	t.Helper()
	client := Client(t, nil)
	return table.New(client, TableName(t, client), c)
}

// TableName makes a fresh DynamoDB table and returns its name.
func TableName(t testing.TB, client *dynamodb.Client) string {
	t.Helper()
	name := "test-" + id.NewULID(clock.System.Now())
	if err := table.Create(context.Background(), client, name); err != nil {
		t.Fatal(err)
	}
	return name
}
