package stack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"outpost/infra/local/sdktest"
	"outpost/shared/contract"
	"outpost/shared/tenant"
)

// neighbour is a tenant that has one of everything.
type neighbour struct {
	*world
	tenant string
	things map[string]string // ids of what it has, by their prefix
	names  []string          // names of secrets that it has set
}

// newTenant makes a tenant on the plan pro.
func newTenant(w *world, operator *world, name string) neighbour {
	w.t.Helper()
	made := created(operator.must(201, "POST", "/v1/tenants", map[string]any{"name": "The team of " + name, "email": name + "@example.com", "plan": "pro",
		"limits": map[string]any{"requests_per_minute": 1_000_000}}))
	return neighbour{world: &world{t: w.t, url: w.url, key: made.APIKey, Stack: w.Stack}, tenant: made.ID}
}

// made is what the making of a tenant or a key answers.
type made struct {
	ID     string
	APIKey string `json:"api_key"` // of a tenant
	Secret string // of a key
}

func created(a answer) (m made) {
	if err := json.Unmarshal(a.body, &m); err != nil {
		panic(err) // the contract has been held against it
	}
	return m
}

// moveIn makes a tenant with one of everything: whatever kind of thing the
// contract grows by needs its line here.
func moveIn(w *world, operator *world, name string, secrets ...string) neighbour {
	w.t.Helper()
	n := newTenant(w, operator, name)
	n.names = secrets
	for _, s := range secrets {
		n.must(204, "PUT", "/v1/secrets/"+s, map[string]any{"value": "a-key-of-" + name})
	}
	key := created(n.must(201, "POST", "/v1/keys", map[string]any{"name": "The key of " + name, "scopes": []string{"tasks:read"}}))
	var task taskView
	for range 2 { // so that a page of one has a cursor
		task = n.submit(map[string]any{"repo": repository(w.t, map[string]string{"a.txt": "of " + name + "\n"}), "prompt": "Work for " + name + ".",
			"agents": []string{"codex"}, "verify": "grep -q changed a.txt", "tags": []string{"tag-of-" + name}})
		task = n.completed(task.ID)
	}
	n.things = map[string]string{"ten": n.tenant, "key": key.ID, "tsk": task.ID, "run": task.Runs[0].ID}
	for parked := false; !parked; { // the scheduler has the last word about a tenant that waits for nothing
		parked = !strings.Contains(rows(w.t, w, n.tenant)["T#"+n.tenant+" LOAD"], "GSI2PK")
	}
	return n
}

// except makes a key of the tenant that lacks a scope, and those that imply it.
func (n neighbour) except(scope string) (key string, scopes []string) {
	n.t.Helper()
	for _, s := range tenant.Scopes {
		if !(tenant.Caller{Scopes: []string{s}}).May(scope) {
			scopes = append(scopes, s)
		}
	}
	return created(n.must(201, "POST", "/v1/keys", map[string]any{"name": "except " + scope, "scopes": scopes})).Secret, scopes
}

// nobodys is an id of the same form that nobody has.
func nobodys(id string) string {
	at := 4 + 22 // the last four characters of the ULID
	return id[:at] + "ZZZZ" + id[at+4:]
}

// rows are all rows of a tenant and of its keys, as JSON by their sort key,
// without the windows of its rate limit, which each request of its own moves.
func rows(t testing.TB, w *world, tenantID string) map[string]string {
	t.Helper()
	client := dynamodb.NewFromConfig(sdktest.Config(t, w.Recorder))
	all := map[string]string{}
	for _, in := range []*dynamodb.QueryInput{
		{ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("PK = :pk"), ExpressionAttributeValues: text(":pk", "T#"+tenantID)},
		{IndexName: aws.String("GSI1"), KeyConditionExpression: aws.String("GSI1PK = :pk"), ExpressionAttributeValues: text(":pk", "T#"+tenantID+"#KEYS")},
	} {
		in.TableName = aws.String("outpost")
		for more := true; more; more = in.ExclusiveStartKey != nil {
			out, err := client.Query(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range out.Items {
				row := plain(&types.AttributeValueMemberM{Value: item}).(map[string]any)
				shown, err := json.Marshal(row)
				if err != nil {
					t.Fatal(err)
				}
				if sk := row["SK"].(string); !strings.HasPrefix(sk, "RATE#") {
					all[row["PK"].(string)+" "+sk] = string(shown)
				}
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
	return all
}

func text(name, value string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{name: &types.AttributeValueMemberS{Value: value}}
}

// plain is a value of DynamoDB as JSON has it.
func plain(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberM:
		out := map[string]any{}
		for name, value := range v.Value {
			out[name] = plain(value)
		}
		return out
	case *types.AttributeValueMemberL:
		var out []any
		for _, value := range v.Value {
			out = append(out, plain(value))
		}
		return out
	}
	return fmt.Sprintf("%T %+v", v, v) // what is no text is compared, not searched
}

// texts are the texts in a tenant's rows that are its own: long enough to be
// found by no chance, in no row of another and not in the contract.
func texts(mine, others map[string]string) (own []string) {
	leaves := func(rows map[string]string) map[string]bool {
		found := map[string]bool{}
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case string:
				found[v] = true
				for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == '#' || r == '_' }) {
					found[part] = true
				}
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				for _, e := range v {
					walk(e)
				}
			}
		}
		for _, text := range rows {
			var v any
			if json.Unmarshal([]byte(text), &v) == nil {
				walk(v)
			}
		}
		return found
	}
	theirs := leaves(others)
	for _, text := range slices.Sorted(maps.Keys(leaves(mine))) {
		if len(text) >= 8 && !theirs[text] && !strings.Contains(string(contract.YAML), text) {
			own = append(own, text)
		}
	}
	return own
}
