package table_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// answers changes what a client hears about requests that the engine carried
// out or never saw.
type answers func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return f(r, func() (*http.Response, error) { return enginetest.Transport.RoundTrip(r) })
}

func operation(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}

func firstTry(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1")
}

// refused is an answer of DynamoDB's own.
func refused(r *http.Request, exception string) *http.Response {
	return &http.Response{StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(strings.NewReader(`{"__type":"com.amazonaws.dynamodb.v20120810#` + exception + `","Message":"no"}`))}
}

// benchHearing is a bench whose client repeats failed requests, as in
// production but without waiting, and hears what f makes of the answers.
func benchHearing(t *testing.T, f answers) *bench {
	c := clock.NewManual(start)
	plain := enginetest.Client(t, nil)
	return benchOn(t, table.New(enginetest.Insistent(enginetest.Client(t, f)), enginetest.TableName(t, plain), c), c)
}

// The first answer to every write is lost after the engine has acted, and the
// client repeats it. Nothing fails, and nothing happens twice.
func TestAWholeLifeWithEveryFirstAnswerLostHappensOnce(t *testing.T) {
	var lost atomic.Int64
	b := benchHearing(t, func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		res, err := send()
		if op := operation(r); err == nil && firstTry(r) && op != "GetItem" && op != "Query" {
			lost.Add(1)
			enginetest.Drop(res)
			return nil, enginetest.ErrLost
		}
		return res, err
	})
	b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: 1, Ciphertext: []byte{1}, SetAt: start}, by("secret.put")))
	tk := b.admit(2)
	r := b.running("nonce")
	b.must(b.SetContainer(b.ctx, b.tenant, r.ID, 1, "arn"))
	_, err := b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "nonce", task.Spend{}, start.Add(time.Hour))
	b.must(err)
	pinned, err := b.PinCommit(b.ctx, b.tenant, tk.ID, "c0ffee")
	b.must(err)
	b.must(b.PutEvents(b.ctx, b.tenant, r.ID, 1, []task.Event{{Seq: task.EventSeq(1, 1), At: start, Kind: task.EventPhase, Text: "clone"}}))
	r, err = b.StoreResult(b.ctx, b.tenant, r.ID, 1, "nonce", success())
	b.must(err)
	b.settle(r)
	second, err := b.RequestCancel(b.ctx, b.tenant, tk.Runs[1].ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, start), Action: "run.cancel"}})
	b.must(err)
	_, err = b.Settle(b.ctx, b.tenant, table.Settlement{Run: second, Decision: task.Decision{Next: task.NextDone, End: task.Cancelled}, Now: start})
	b.must(err)
	b.revoke()

	got, err := b.Task(b.ctx, b.tenant, tk.ID)
	b.must(err)
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	rows, err := b.LedgerRows(b.ctx, b.tenant, 10)
	b.must(err)
	events, _, err := b.RunEvents(b.ctx, b.tenant, r.ID, 0, 10)
	b.must(err)
	used, err := b.DayMeter(b.ctx, b.tenant, start)
	b.must(err)
	if got.State != task.Completed || got.Tally != (task.Tally{Total: 2, Succeeded: 1, Cancelled: 1}) || pinned != "c0ffee" ||
		s.Load.Waiting != 0 || s.Load.Running != 0 || len(rows) != 1 || len(events) != 1 || used != 2 {
		t.Errorf("task %+v, load %+v, %d ledger rows, %d events, %d metered", got, s.Load, len(rows), len(events), used)
	}
	trail, err := b.AuditTrail(b.ctx, b.tenant, 100)
	b.must(err)
	count := map[string]int{}
	for _, e := range trail {
		count[e.Action]++
	}
	for _, action := range []string{"task.create", "run.start", "run.succeeded", "run.cancel", "run.cancelled"} {
		if count[action] != 1 {
			t.Errorf("%s is %d times in the audit trail", action, count[action])
		}
	}
	if lost.Load() < 15 {
		t.Errorf("only %d answers were lost: the test tests nothing", lost.Load())
	}
}

// A transaction is carried out while the client hears that it is in progress;
// what follows must find it to be the client's own.
func TestAnAdmissionThatWasInProgressIsNotRefusedAsADouble(t *testing.T) {
	for _, exception := range []string{"TransactionInProgressException", "ThrottlingException"} {
		t.Run(exception, func(t *testing.T) {
			var heard atomic.Int64
			b := benchHearing(t, func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
				res, err := send()
				if err == nil && operation(r) == "TransactWriteItems" && heard.Add(1) <= 3 { // every try of the client
					enginetest.Drop(res)
					return refused(r, exception), nil
				}
				return res, err
			})
			a := b.admission(2)
			a.Idempotency = &table.Idempotency{Key: "k", BodyHash: "h", Status: 202, Body: []byte("{}")}
			if err := b.Admit(b.ctx, b.tenant, a); err != nil {
				t.Fatalf("the admission was carried out, and yet: %v", err)
			}
			s, err := b.Standing(b.ctx, b.tenant)
			b.must(err)
			if used, err := b.DayMeter(b.ctx, b.tenant, start); err != nil || used != 2 || s.Load.Waiting != 2 {
				t.Errorf("metered %d, waiting %d: %v", used, s.Load.Waiting, err)
			}
		})
	}
}

func TestASecondTaskOfTheSameIDIsNotMine(t *testing.T) {
	b := newBench(t)
	a := b.admission(1)
	b.must(b.Admit(b.ctx, b.tenant, a))
	other := b.admission(1)
	other.Task.ID, other.Task.Runs[0].ID, other.Task.Runs[0].Task = a.Task.ID, a.Task.Runs[0].ID, a.Task.ID
	if err := b.Admit(b.ctx, b.tenant, other); !errors.Is(err, table.ErrExists) {
		t.Errorf("got %v", err)
	}
}

// Single writes meet transactions too: a key is revoked while submissions
// check it.
func TestAKeyIsRevokedAgainstConflicts(t *testing.T) {
	var refusals atomic.Int64
	b := benchHearing(t, func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if operation(r) == "UpdateItem" && refusals.Add(1) <= 4 {
			return refused(r, "TransactionConflictException"), nil
		}
		return send()
	})
	b.revoke()
	if k, err := b.KeyByHash(b.ctx, b.caller.KeyHash); err != nil || k.State != table.KeyRevoked {
		t.Errorf("the key is %s: %v", k.State, err)
	}
}

func TestEndlessConflictsEndInErrConflictAndACancelledContextAtOnce(t *testing.T) {
	b := newBench(t)
	var tries atomic.Int64
	busy := table.New(enginetest.Client(t, answers(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if operation(r) == "TransactWriteItems" {
			tries.Add(1)
			return enginetest.Conflict(r), nil
		}
		return send()
	})), "any", b.clock)
	if err := busy.Admit(b.ctx, b.tenant, b.admission(1)); !errors.Is(err, table.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if n := tries.Load(); n < 2 || n > 50 {
		t.Errorf("%d tries", n)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if err := busy.Admit(ctx, b.tenant, b.admission(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheSameRowTwiceIsOneAndAnotherIsRefused(t *testing.T) {
	b := newBench(t)
	tn := tenant.Tenant{ID: id.New(id.Tenant, start), Name: "n", Entitlement: tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1}, CreatedAt: start}
	first := table.Key{ID: "key_0", Hash: "first", State: table.KeyActive, CreatedAt: start}
	k := table.Key{ID: "key_1", Hash: "h", Name: "ci", Scopes: []string{"tasks:read"}, State: table.KeyActive, Entitlement: tn.Entitlement, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
	sealed := table.Sealed{Name: "XAI_API_KEY", Version: 1, Ciphertext: []byte{1, 2}, WrappedKey: []byte{3}, SetAt: start}
	for range 2 {
		b.must(b.CreateTenant(b.ctx, tn, first, by("tenant.create")))
		b.must(b.CreateKey(b.ctx, tn.ID, k, by("key.create")))
		b.must(b.PutSecret(b.ctx, tn.ID, sealed, by("secret.put")))
	}
	other := tn
	other.Name = "another"
	if err := b.CreateTenant(b.ctx, other, first, by("tenant.create")); !errors.Is(err, table.ErrExists) {
		t.Errorf("another tenant of the same id: %v", err)
	}
	if err := b.CreateKey(b.ctx, b.tenant, k, by("key.create")); !errors.Is(err, table.ErrExists) {
		t.Errorf("another tenant's key of the same hash: %v", err)
	}
	sealed.Ciphertext = []byte{9}
	if err := b.PutSecret(b.ctx, tn.ID, sealed, by("secret.put")); !errors.Is(err, table.ErrExists) {
		t.Errorf("another secret under the same version: %v", err)
	}
}
