package table_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// at is a rule that closes a tenant at a time.
func at(closed time.Time) func(tenant.Tenant) (tenant.Tenant, error) {
	return func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(closed), nil }
}

// becomes is a rule that gives a tenant a state.
func becomes(s tenant.State) func(tenant.Tenant) (tenant.Tenant, error) {
	return func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &s}) }
}

func (b *bench) close() {
	b.t.Helper()
	_, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.close"), at(b.clock.Now()))
	b.must(err)
}

// withKey is the bench's caller, who makes a change.
func (b *bench) withKey(action string) table.By {
	by := by(action)
	by.KeyHash = b.caller.KeyHash
	return by
}

// A request that the authorizer let through before the closing, or for a minute
// after it, comes too late.
func TestAKeyOfAClosedTenantWritesNothing(t *testing.T) {
	b := newBench(t)
	tk := b.admit(2)
	b.must(b.CreateKey(b.ctx, b.tenant, another(b, "key_2"), b.withKey("key.create")))
	b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "A", Version: 1, SetAt: start}, b.withKey("secret.put")))
	late := b.admission(1)
	b.close()
	before := len(trail(b))
	for what, write := range map[string]func() error{
		"submits":     func() error { return b.Admit(b.ctx, b.tenant, late) },
		"makes a key": func() error { return b.CreateKey(b.ctx, b.tenant, another(b, "key_3"), b.withKey("key.create")) },
		"revokes a key": func() error {
			_, err := b.RevokeKey(b.ctx, b.tenant, keyID("key_2"), b.withKey("key.revoke"))
			return err
		},
		"revokes itself": func() error {
			_, err := b.RevokeKey(b.ctx, b.tenant, b.caller.KeyID, b.withKey("key.revoke"))
			return err
		},
		"rotates a key":  func() error { return rotate(b, keyID("key_2")) },
		"rotates itself": func() error { return rotate(b, b.caller.KeyID) },
		"puts a secret": func() error {
			return b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "A", Version: 2, SetAt: start}, b.withKey("secret.put"))
		},
		"deletes a secret": func() error { return b.DeleteSecret(b.ctx, b.tenant, "A", b.withKey("secret.delete")) },
		"asks a run to end": func() error {
			_, err := b.RequestCancel(b.ctx, b.tenant, tk.Runs[0].ID, b.withKey("run.cancel"))
			return err
		},
		"becomes a subscriber": func() error {
			_, err := b.BindCustomer(b.ctx, b.tenant, "cus_1", b.withKey("billing.checkout"))
			return err
		},
	} {
		if err := write(); !errors.Is(err, table.ErrKeyRevoked) && !(what == "becomes a subscriber" && errors.Is(err, tenant.ErrNotActive)) {
			t.Errorf("a key of a closed tenant %s: %v", what, err)
		}
	}
	if n := len(trail(b)); n != before {
		t.Errorf("%d events more", n-before)
	}
}

func rotate(b *bench, keyID string) error {
	_, err := b.RotateKey(b.ctx, b.tenant, keyID, start.Add(time.Hour), b.withKey("key.rotate"), always(another(b, "key_next")))
	return err
}

func trail(b *bench) []string {
	b.t.Helper()
	events, err := b.AuditTrail(b.ctx, b.tenant, 1000)
	b.must(err)
	var actions []string
	for _, e := range events {
		actions = append(actions, e.Action)
	}
	return actions
}

// between runs something once, before the first transaction that it carries.
type between struct {
	do   func()
	done bool
}

func (m *between) RoundTrip(r *http.Request) (*http.Response, error) {
	if !m.done && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
		m.done = true
		m.do()
	}
	return enginetest.Transport.RoundTrip(r)
}

// Whatever key is made between the moment at which a change reads the tenant's
// keys and the one at which it writes them: it has no copy of the past.
func TestAChangeOfATenantReachesAKeyThatIsMadeMeanwhile(t *testing.T) {
	changes := map[string]func(tenant.Tenant) (tenant.Tenant, error){"closed": at(start), "suspended": becomes(tenant.Suspended)}
	for state, change := range changes {
		for _, how := range []string{"made", "rotated", "made in the place of one that was revoked"} {
			t.Run(state+", "+how, func(t *testing.T) {
				c := clock.NewManual(start)
				client := enginetest.Client(t, nil)
				name := enginetest.TableName(t, client)
				b := benchOn(t, table.New(client, name, c), c)
				b.must(b.CreateKey(b.ctx, b.tenant, another(b, "key_2"), by("key.create")))
				m := &between{do: func() {
					switch how {
					case "made":
						b.must(b.CreateKey(b.ctx, b.tenant, another(b, "key_3"), by("key.create")))
					case "rotated":
						_, err := b.RotateKey(b.ctx, b.tenant, keyID("key_2"), start.Add(time.Hour), by("key.rotate"), always(another(b, "key_3")))
						b.must(err)
					default:
						_, err := b.RevokeKey(b.ctx, b.tenant, keyID("key_2"), by("key.revoke"))
						b.must(err)
						b.must(b.CreateKey(b.ctx, b.tenant, another(b, "key_3"), by("key.create")))
					}
				}}
				_, err := table.New(enginetest.Client(t, m), name, c).ChangeTenant(b.ctx, b.tenant, by("tenant.update"), change)
				b.must(err)
				keys, err := b.keys()
				b.must(err)
				for _, k := range keys {
					good := k.State == table.KeyActive
					if good && (string(k.Entitlement.State) != state || k.Entitlement.Version != 2) {
						t.Errorf("%s has the copy %+v", k.ID, k.Entitlement)
					}
				}
				if !m.done || len(keys) != 3 {
					t.Errorf("%d keys", len(keys))
				}
			})
		}
	}
}

// The scheduler may have read the tenant while it was active.
func TestNothingStartsForATenantThatIsNotActive(t *testing.T) {
	b := newBench(t)
	tk := b.admit(2)
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	q, err := b.Queue(b.ctx, b.tenant, 2)
	b.must(err)
	starting := table.Start{Entry: q[0], Cap: 5, Load: s.Load, VirtualTime: 1, LeaseUntil: start.Add(time.Minute)}
	refused := func(why string) {
		t.Helper()
		if _, _, err := b.StartRun(b.ctx, b.tenant, starting); !errors.Is(err, table.ErrStale) {
			t.Errorf("%s: %v", why, err)
		}
		if got, err := b.Standing(b.ctx, b.tenant); err != nil || got.Load.Waiting != s.Load.Waiting || got.Load.Running != s.Load.Running {
			t.Errorf("%s: the load is %+v, %v", why, got.Load, err)
		}
	}
	_, err = b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), becomes(tenant.Suspended))
	b.must(err)
	refused("suspended")
	_, err = b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), becomes(tenant.Active))
	b.must(err)
	refused("reinstated meanwhile")
	s, err = b.Standing(b.ctx, b.tenant)
	b.must(err)
	starting.Load = s.Load
	if r, _, err := b.StartRun(b.ctx, b.tenant, starting); err != nil || r.ID != tk.Runs[0].ID {
		t.Errorf("reinstated: %v", err)
	}
	s, err = b.Standing(b.ctx, b.tenant)
	b.must(err)
	starting.Entry, starting.Load = q[1], s.Load
	b.close()
	refused("closed")
}

func TestAClosedTenantIsDueUntilItsDataAreRemoved(t *testing.T) {
	b := newBench(t)
	tk := b.admit(1)
	due := func(want bool, why string) {
		t.Helper()
		ids, err := b.ClosedDue(b.ctx, b.clock.Now(), 10)
		b.must(err)
		if (fmt.Sprint(ids) == fmt.Sprint([]string{b.tenant})) != want {
			t.Errorf("%s: due are %v", why, ids)
		}
	}
	due(false, "active")
	for why, err := range map[string]error{"to be quiet": b.MarkQuiet(b.ctx, b.tenant), "to be removed": b.BeginRemoval(b.ctx, b.tenant), "to have been removed": b.EndRemoval(b.ctx, b.tenant, by("tenant.remove"))} {
		if !errors.Is(err, table.ErrStale) {
			t.Errorf("an active tenant is said %s: %v", why, err)
		}
	}
	if _, err := b.RemoveRows(b.ctx, b.tenant, start); !errors.Is(err, table.ErrStale) {
		t.Errorf("rows of an active tenant are removed: %v", err)
	}
	b.close()
	due(true, "closed")
	waiting, err := b.Run(b.ctx, b.tenant, tk.Runs[0].ID)
	b.must(err)
	for what, err := range map[string]error{"quiet": b.MarkQuiet(b.ctx, b.tenant), "in removal": b.BeginRemoval(b.ctx, b.tenant)} {
		if !errors.Is(err, table.ErrAlive) {
			t.Errorf("%s with a run that waits: %v", what, err)
		}
	}
	_, err = b.Settle(b.ctx, b.tenant, table.Settlement{Run: waiting, Decision: task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}, Now: start})
	b.must(err)
	for range 2 {
		b.must(b.MarkQuiet(b.ctx, b.tenant))
	}
	due(false, "quiet")
	b.clock.Advance(tenant.KeptClosed - time.Millisecond)
	due(false, "a moment before its time")
	b.clock.Advance(time.Millisecond)
	due(true, "at its time")
	if _, err := b.RemoveRows(b.ctx, b.tenant, start); !errors.Is(err, table.ErrStale) {
		t.Errorf("rows are removed before that has begun: %v", err)
	}
	for range 2 {
		b.must(b.BeginRemoval(b.ctx, b.tenant))
	}
	due(true, "in removal")
	removed := b.clock.Now()
	for range 2 {
		b.must(b.EndRemoval(b.ctx, b.tenant, byTo("tenant.remove", b.tenant)))
		b.clock.Advance(time.Hour)
	}
	b.close()
	due(false, "removed, and closed again")
	got, err := b.Tenant(b.ctx, b.tenant)
	b.must(err)
	want := tenant.Tenant{ID: b.tenant, CreatedAt: start, ClosedAt: start, QuietAt: start, RemovingAt: removed, RemovedAt: removed, PlanSource: tenant.ByOperator,
		Entitlement: tenant.Entitlement{Plan: "pro", State: tenant.Closed, Version: 5}}
	if got != want {
		t.Errorf("what is kept of it: %+v", got)
	}
	if n := strings.Count(strings.Join(trail(b), " "), "tenant."); n != 3 { // created, closed, removed
		t.Errorf("the trail: %v", trail(b))
	}
}

// Its worker may still report.
func TestNothingIsRemovedForADayAfterTheLastRun(t *testing.T) {
	closed := tenant.Tenant{Entitlement: tenant.Entitlement{State: tenant.Active}}.Close(start)
	for quiet, due := range map[time.Time]time.Time{
		{}:                                  start,
		start.Add(time.Minute):              start.Add(tenant.KeptClosed),
		start.Add(tenant.KeptClosed):        start.Add(tenant.KeptClosed + 24*time.Hour),
		start.Add(tenant.KeptClosed * 2):    start.Add(tenant.KeptClosed*2 + 24*time.Hour),
		start.Add(tenant.KeptClosed - 1e15): start.Add(tenant.KeptClosed),
	} {
		tn := closed
		tn.QuietAt = quiet
		if got := tn.DueAt(); !got.Equal(due) {
			t.Errorf("quiet at %s: due at %s", quiet, got)
		}
	}
}

// One that was closed before there was an index is found once it is closed again.
func TestClosingAgainListsATenantThatTheIndexDoesNotHave(t *testing.T) {
	c := clock.NewManual(start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	b := benchOn(t, table.New(client, name, c), c)
	b.close()
	_, err := client.UpdateItem(b.ctx, &dynamodb.UpdateItemInput{TableName: &name, UpdateExpression: aws.String("REMOVE GSI2PK, GSI2SK"),
		Key: map[string]types.AttributeValue{"PK": &types.AttributeValueMemberS{Value: "T#" + b.tenant}, "SK": &types.AttributeValueMemberS{Value: "TENANT"}}})
	b.must(err)
	for _, want := range []int{0, 1} {
		ids, err := b.ClosedDue(b.ctx, start, 10)
		if b.must(err); len(ids) != want {
			t.Errorf("due are %v", ids)
		}
		b.close()
	}
	if got := strings.Count(strings.Join(trail(b), " "), "tenant.close"); got != 1 {
		t.Errorf("closed once more often, it has %d events", got)
	}
}
