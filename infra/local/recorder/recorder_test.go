package recorder_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/engines"
	"outpost/infra/local/engines/enginetest"
	localkms "outpost/infra/local/kms"
	"outpost/infra/local/recorder"
	"outpost/infra/local/sdktest"
)

// newRecorder stands before a real DynamoDB engine and the local KMS.
func newRecorder(t *testing.T) (*recorder.Recorder, *dynamodb.Client, *kms.Client, string) {
	t.Helper()
	e, err := engines.DynamoDB(t.Context(), "", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	r := recorder.New()
	if err := r.Forward("dynamodb", e.Endpoint); err != nil {
		t.Fatal(err)
	}
	keys, err := localkms.Open("arn:key", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r.Handle("kms", keys.Handler())
	cfg := sdktest.Config(t, r)
	db := dynamodb.NewFromConfig(cfg)
	return r, db, kms.NewFromConfig(cfg), enginetest.TableName(t, db)
}

func put(t *testing.T, db *dynamodb.Client, name, key string) error {
	t.Helper()
	_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Put: &types.Put{
		TableName: &name, Item: map[string]types.AttributeValue{"PK": &types.AttributeValueMemberS{Value: key}, "SK": &types.AttributeValueMemberS{Value: key}}}}}})
	return err
}

func exists(t *testing.T, db *dynamodb.Client, name, key string) bool {
	t.Helper()
	out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name,
		Key: map[string]types.AttributeValue{"PK": &types.AttributeValueMemberS{Value: key}, "SK": &types.AttributeValueMemberS{Value: key}}})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Item) > 0
}

func TestCallsAreRecordedWithCallerAndCost(t *testing.T) {
	r, db, keys, name := newRecorder(t)
	r.Reset()
	if err := put(t, db, name, "a"); err != nil {
		t.Fatal(err)
	}
	id, plain := "arn:key", []byte("x")
	if _, err := keys.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &id, Plaintext: plain}); err != nil {
		t.Fatal(err)
	}
	calls := r.Calls()
	if len(calls) != 2 || calls[0].Service != "dynamodb" || calls[0].Action != "TransactWriteItems" || calls[0].Caller != "test" ||
		calls[0].Status != 200 || calls[0].Units <= 0 || calls[1].Service != "kms" || calls[1].Action != "Encrypt" {
		t.Errorf("recorded %+v", calls)
	}
}

func TestFaults(t *testing.T) {
	r, db, _, name := newRecorder(t)
	seeded := rand.New(rand.NewPCG(1, 2))
	rule := func(e recorder.Effect) *recorder.Rule {
		return &recorder.Rule{Service: "dynamodb", Action: "TransactWriteItems", Probability: 1, Effect: e, Random: seeded, Code: "ThrottlingException"}
	}
	for _, c := range []struct {
		rule    *recorder.Rule
		written bool
	}{
		{rule(recorder.DropRequest), false},
		{rule(recorder.LoseAnswer), true},
		{rule(recorder.Fail), false},
		{recorder.Conflict(1, seeded), false},
	} {
		key := string(c.rule.Effect) + c.rule.Code
		r.Inject(c.rule)
		err := put(t, db, name, key)
		r.Inject()
		if err == nil || c.rule.Count() != 1 {
			t.Errorf("%s: error %v, fired %d times", key, err, c.rule.Count())
		}
		if got := exists(t, db, name, key); got != c.written {
			t.Errorf("%s: the engine wrote: %v", key, got)
		}
		var cancelled *types.TransactionCanceledException
		if c.rule.Code == "TransactionCanceledException" && (!errors.As(err, &cancelled) || *cancelled.CancellationReasons[0].Code != "TransactionConflict") {
			t.Errorf("a conflict looks like %v", err)
		}
	}
	other := rule(recorder.Fail)
	other.Caller = "somebody-else"
	r.Inject(other)
	if err := put(t, db, name, "mine"); err != nil {
		t.Errorf("another caller's fault hit: %v", err)
	}
}
