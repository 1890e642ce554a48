// Package enginetest gives tests a real DynamoDB engine: one a test binary, a
// fresh table a test.
package enginetest

import (
	"context"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
)

var engine = sync.OnceValues(func() (*engines.Engine, error) {
	return engines.DynamoDB(context.Background(), "", os.Stderr) // it dies with the test binary
})

// Client returns a client of the engine whose requests go through transport
// (nil: the default one).
func Client(t testing.TB, transport http.RoundTripper) *dynamodb.Client {
	t.Helper()
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &e.Endpoint, Region: engines.Region,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
		Retryer:     aws.NopRetryer{},
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
