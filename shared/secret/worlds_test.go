package secret_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
	local "outpost/infra/local/secretsmanager"
	"outpost/shared/awsclient"
	"outpost/shared/clock"
	"outpost/shared/secret"
	"outpost/shared/secret/secrettest"
	"outpost/shared/table"
	"outpost/shared/topology"
)

const (
	arn    = "arn:aws:kms:us-east-1:000000000000:key/k"
	prefix = "outpost/tenants/"
)

func TestAVaultIsAStore(t *testing.T) {
	secrettest.Run(t, func(t *testing.T) secrettest.World { return vaultWorld(t) })
}

func TestADepositoryIsAStore(t *testing.T) {
	secrettest.Run(t, func(t *testing.T) secrettest.World { return newDepositoryWorld(t, nil, nil).World })
}

func key(s table.Sealed) string { return fmt.Sprintf("%s#%d", s.Name, s.Version) }

func vaultWorld(t testing.TB) secrettest.World {
	c := clock.NewManual(secrettest.Start)
	keys, err := kms.Open(arn, t.TempDir())
	must(t, err)
	rows := enginetest.Table(t, c)
	row := func(tenantID, name string, version int) table.Sealed {
		all, _, err := rows.SecretRows(t.Context(), tenantID)
		must(t, err)
		i := slices.IndexFunc(all, func(s table.Sealed) bool { return s.Name == name && s.Version == version })
		if i < 0 {
			t.Fatalf("no %s#%d", name, version)
		}
		return all[i]
	}
	w := secrettest.World{
		Store: secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, keys.Handler())), arn, rows), Rows: rows, Clock: c,
		Held: func(tenantID string) (held []string) {
			all, _, err := rows.SecretRows(t.Context(), tenantID)
			must(t, err)
			for _, s := range all {
				if s.In(topology.InTable) {
					held = append(held, key(s))
				}
			}
			return held
		},
		Steal: func(tenantID, name string, version int) secrettest.Loot {
			s := row(tenantID, name, version)
			return secrettest.Loot{Key: s.WrappedKey, Ciphertext: s.Ciphertext}
		},
		Written: func() int { return 0 },
	}
	w.Plant = func(tenantID, name string, version int, l secrettest.Loot) {
		empty(t, rows, tenantID, name)
		w.Row(t, tenantID, table.Sealed{Name: name, Version: version, WrappedKey: l.Key, Ciphertext: l.Ciphertext, SetAt: secrettest.Start})
	}
	return w
}

// empty makes room for what is planted: the newest version is the one that counts.
func empty(t testing.TB, rows *table.Table, tenantID, name string) {
	t.Helper()
	if err := rows.DeleteSecret(t.Context(), tenantID, name, secrettest.Outpost(secrettest.Start, "planted")); err != nil && err != table.ErrNotFound {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// depositoryWorld is a depository with what stands behind it.
type depositoryWorld struct {
	secrettest.World
	t       testing.TB
	store   *secret.Depository
	handler http.Handler           // the service itself
	plain   *secretsmanager.Client // without faults
	written *atomic.Int64
}

// newDepositoryWorld has the depository's calls of DynamoDB and Secrets Manager go
// through what may break them; nil for nothing.
func newDepositoryWorld(t testing.TB, db http.RoundTripper, through func(http.Handler) http.Handler) *depositoryWorld {
	c := clock.NewManual(secrettest.Start)
	service, err := local.Open(t.TempDir())
	must(t, err)
	w := &depositoryWorld{t: t, written: &atomic.Int64{}}
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if op := operation(r); op == "CreateSecret" || op == "PutSecretValue" || op == "DeleteSecret" {
			w.written.Add(1)
		}
		service.Handler().ServeHTTP(rw, r)
	})
	w.plain = secretsmanager.NewFromConfig(sdktest.Config(t, service.Handler()))
	calls := w.handler
	if through != nil {
		calls = through(calls)
	}
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	w.World = secrettest.World{Rows: table.New(client, name, c), Clock: c, Held: w.held, Steal: w.steal, Plant: w.plant,
		Written: func() int { return int(w.written.Load()) }}
	rows := w.Rows
	if db != nil {
		rows = table.New(dynamodb.New(enginetest.Client(t, db).Options()), name, c)
	}
	cfg := sdktest.Config(t, calls)
	cfg.Retryer = awsclient.RetryBrokenAnswers
	w.store = secret.NewDepository(secretsmanager.NewFromConfig(cfg), prefix, rows).WithClock(c)
	w.Store = w.store
	return w
}

func operation(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}

// document is the version that counts of a tenant's secret, and which that is.
func (w *depositoryWorld) document(tenantID string) (map[string][]byte, table.Deposit) {
	w.t.Helper()
	_, at, err := w.Rows.SecretRows(context.Background(), tenantID)
	must(w.t, err)
	doc := map[string][]byte{}
	if at.Version == "" {
		return doc, at
	}
	name := fmt.Sprintf("%s%s/%d", prefix, tenantID, at.Number)
	out, err := w.plain.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: &at.Version})
	must(w.t, err)
	must(w.t, json.Unmarshal([]byte(*out.SecretString), &doc))
	return doc, at
}

func (w *depositoryWorld) held(tenantID string) (held []string) {
	doc, _ := w.document(tenantID)
	for name := range doc {
		held = append(held, name)
	}
	slices.Sort(held)
	return held
}

func (w *depositoryWorld) steal(tenantID, name string, version int) secrettest.Loot {
	w.t.Helper()
	doc, _ := w.document(tenantID)
	rows, _, err := w.Rows.SecretRows(context.Background(), tenantID)
	must(w.t, err)
	for _, s := range rows {
		if s.Name == name && s.Version == version {
			return secrettest.Loot{Key: s.Key, Ciphertext: doc[key(s)]}
		}
	}
	w.t.Fatalf("no %s#%d", name, version)
	return secrettest.Loot{}
}

func (w *depositoryWorld) plant(tenantID, name string, version int, l secrettest.Loot) {
	w.t.Helper()
	ctx, by := context.Background(), secrettest.Outpost(secrettest.Start, "planted")
	empty(w.t, w.Rows, tenantID, name)
	doc, at := w.document(tenantID)
	planted := table.Sealed{Name: name, Version: version, Key: l.Key, SetAt: secrettest.Start}
	doc[key(planted)] = l.Ciphertext
	body, err := json.Marshal(doc)
	must(w.t, err)
	at.Number = max(at.Number, 1)
	var random [16]byte
	_, _ = rand.Read(random[:])
	at.Version = hex.EncodeToString(random[:])
	secretName, text := fmt.Sprintf("%s%s/%d", prefix, tenantID, at.Number), string(body)
	_, _ = w.plain.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &secretName}) // it may be there
	_, err = w.plain.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &secretName, SecretString: &text, ClientRequestToken: &at.Version})
	must(w.t, err)
	must(w.t, w.Rows.LeaseDeposit(ctx, tenantID, at.Version, w.Clock.Now(), by))
	must(w.t, w.Rows.CommitDeposit(ctx, tenantID, at.Version, table.DepositChange{Deposit: at, Put: &planted}, by))
}
