// Package table is the single DynamoDB table and the only place that knows its
// layout.
//
// All that belongs to a tenant lives under its own partition, T#<tenant>: the
// key itself isolates tenants, and every method about a tenant's things takes
// the tenant's id. Two sparse indexes hold hints only: GSI1 lists, GSI2 finds
// what is waiting or in flight; truth is read from the item.
//
// A run and a task carry a version. A change reads the row, applies a rule of
// the domain to it, and writes it back under the condition that the version is
// still the one it read, alone or in one transaction with everything that must
// change with it. Counters (meter, load) move by arithmetic under a condition.
// So whatever races, crashes or is repeated, a row is only ever replaced by
// what the rule made of that very row.
package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/guregu/dynamo/v2"

	"outpost/shared/clock"
	"outpost/shared/topology"
)

// Table reads and writes the single table. It is safe for concurrent use.
type Table struct {
	db    *dynamo.DB
	items dynamo.Table
	clock clock.Clock
}

// New returns a Table over an existing DynamoDB table.
func New(client *dynamodb.Client, name string, c clock.Clock) *Table {
	db := dynamo.NewFromIface(client)
	return &Table{db: db, items: db.Table(name), clock: c}
}

// Create makes the DynamoDB table as the topology says and waits until it is
// active. A table that exists is left as it is.
func Create(ctx context.Context, client *dynamodb.Client, name string) error {
	spec := topology.SingleTable
	attribute := func(n string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &n, AttributeType: types.ScalarAttributeTypeS}
	}
	schema := func(pk, sk string) []types.KeySchemaElement {
		return []types.KeySchemaElement{{AttributeName: &pk, KeyType: types.KeyTypeHash}, {AttributeName: &sk, KeyType: types.KeyTypeRange}}
	}
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            schema(spec.PartitionKey, spec.SortKey),
		AttributeDefinitions: []types.AttributeDefinition{attribute(spec.PartitionKey), attribute(spec.SortKey)}}
	for _, i := range spec.Indexes {
		projection := types.ProjectionTypeAll
		if i.KeysOnly {
			projection = types.ProjectionTypeKeysOnly
		}
		in.AttributeDefinitions = append(in.AttributeDefinitions, attribute(i.PartitionKey), attribute(i.SortKey))
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &i.Name, KeySchema: schema(i.PartitionKey, i.SortKey), Projection: &types.Projection{ProjectionType: projection}})
	}
	var exists *types.ResourceInUseException
	if _, err := client.CreateTable(ctx, in); err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create table %s: %w", name, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client)
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return fmt.Errorf("wait for table %s: %w", name, err)
	}
	return nil
}

// maxTries bounds how often a lost race is run again.
const maxTries = 12

// again runs f until it returns something else than errRaced, with full jitter
// between the tries, and returns ErrConflict when it never does.
func (t *Table) again(ctx context.Context, f func() error) error {
	for try := range maxTries {
		err := f()
		if !errors.Is(err, errRaced) {
			return err
		}
		most := min(10*time.Millisecond<<try, time.Second)
		select {
		case <-time.After(rand.N(most)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ErrConflict
}
