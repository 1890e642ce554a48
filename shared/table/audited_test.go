package table_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// The clock moves between the steps, so that the trail's order is that of the steps.
func TestTheTrailTellsTheLifeOfARun(t *testing.T) {
	b := newBench(t)
	step := func() { b.clock.Advance(time.Second) }
	b.admit(1)
	step()
	r, err := b.startNext(5)
	b.must(err)
	end := func(cause task.Cause) {
		t.Helper()
		step()
		r, err = b.EndAttempt(b.ctx, b.tenant, r.ID, r.Attempt.Number, task.AttemptEnd{Cause: cause, At: b.clock.Now()})
		b.must(err)
	}
	begin := func() {
		t.Helper()
		step()
		r, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token", true, time.Minute, b.clock.Now().Add(time.Minute))
		b.must(err)
	}
	claim := func() {
		t.Helper()
		step()
		who := table.By{Audit: audit.Event{ID: id.New(id.Audit, b.clock.Now()), At: b.clock.Now(), Action: "run.claim", Actor: "worker",
			Target: r.ID, RequestID: "req_1", Address: "192.0.2.1"}}
		for range 2 { // the same nonce again is no change
			r, err = b.Claim(b.ctx, b.tenant, r.ID, r.Attempt.Number, "n", b.clock.Now().Add(time.Minute), who)
			b.must(err)
		}
	}
	begin()
	end(task.NoCapacity)
	b.clock.Advance(task.DefaultTiming.NoCapacityLimit)
	r = b.settle(r)
	step()
	r, err = b.startNext(5)
	b.must(err)
	begin()
	claim()
	end(task.ContainerStopped)
	r = b.settle(r)
	begin()
	claim()
	step()
	r, err = b.StoreResult(b.ctx, b.tenant, r.ID, r.Attempt.Number, "n", success())
	b.must(err)
	b.settle(r)

	trail, err := b.AuditTrail(b.ctx, b.tenant, 100)
	b.must(err)
	var told []string
	for _, e := range slices.Backward(trail) {
		if e.Target != r.ID {
			continue
		}
		line := e.Actor + " " + e.Action
		for _, c := range e.Changes {
			if c.Field == "state" {
				line += " " + c.Before + "→" + c.After
			}
		}
		told = append(told, strings.TrimSpace(line+" "+e.Detail))
		if e.Actor == "worker" && (e.RequestID != "req_1" || e.Address != "192.0.2.1") {
			t.Errorf("the claim's event does not tell the request: %+v", e)
		}
	}
	want := []string{
		"scheduler run.start queued→starting",
		"settle run.requeue starting→queued no_capacity",
		"scheduler run.start queued→starting",
		"worker run.claim starting→running",
		"settle run.retry running→starting container_stopped",
		"worker run.claim starting→running",
		"settle run.succeeded running→succeeded",
	}
	if !slices.Equal(told, want) {
		t.Errorf("the trail tells\n%s\nnot\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestAChangeTellsWhatWasBefore(t *testing.T) {
	b := newBench(t)
	last := func(action string) (e audit.Event) {
		t.Helper()
		got, _, err := b.AuditEvents(b.ctx, b.tenant, table.AuditRange{Action: action}, 1)
		b.must(err)
		if len(got) == 0 {
			t.Fatalf("no %s in the trail", action)
		}
		return got[0]
	}
	check := func(action string, want ...audit.Change) {
		t.Helper()
		if got := last(action).Changes; !reflect.DeepEqual(got, want) {
			t.Errorf("%s tells %+v, want %+v", action, got, want)
		}
	}
	_, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		free, state := "free", tenant.Suspended
		return tn.Apply(tenant.Change{Plan: &free, State: &state, Limits: tenant.OverridesChange{RunsPerDay: tenant.To(7), Agents: tenant.To(tenant.AgentsOf("codex", "aider")), MaxTimeoutSeconds: tenant.To(90)}})
	})
	b.must(err)
	check("tenant.update", audit.Change{Field: "limits.agents", After: "aider codex"}, audit.Change{Field: "limits.max_timeout_seconds", After: "90"},
		audit.Change{Field: "limits.runs_per_day", After: "7"}, audit.Change{Field: "plan", Before: "pro", After: "free"},
		audit.Change{Field: "plan_source", After: "operator"}, audit.Change{Field: "state", Before: "active", After: "suspended"})

	until, next := start.Add(time.Hour), id.New(id.Key, start)
	_, err = b.RotateKey(b.ctx, b.tenant, b.caller.KeyID, until, by("key.rotate"), always(table.Key{ID: next, Hash: "hash-of-new", State: table.KeyActive, CreatedAt: start}))
	b.must(err)
	check("key.rotate", audit.Change{Field: "expires_at", After: until.Format(time.RFC3339)}, audit.Change{Field: "replaced_by", After: next})
	_, err = b.RevokeKey(b.ctx, b.tenant, next, by("key.revoke"))
	b.must(err)
	check("key.revoke", audit.Change{Field: "state", Before: table.KeyActive, After: table.KeyRevoked})

	b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "GIT_TOKEN", Version: 1, Host: "git.example.com", Display: "LAST", SetAt: start}, byTo("secret.put", "GIT_TOKEN")))
	check("secret.put", audit.Change{Field: "host", After: "git.example.com"}, audit.Change{Field: "version", After: "1"})
	b.must(b.DeleteSecret(b.ctx, b.tenant, "GIT_TOKEN", byTo("secret.delete", "GIT_TOKEN")))
	check("secret.delete", audit.Change{Field: "host", Before: "git.example.com"}, audit.Change{Field: "version", Before: "1"})

	trail, err := b.AuditTrail(b.ctx, b.tenant, 100)
	b.must(err)
	text, err := json.Marshal(trail)
	b.must(err)
	for _, hidden := range []string{"hash-of-new", b.caller.KeyHash, "LAST"} {
		if strings.Contains(string(text), hidden) {
			t.Errorf("the trail holds %q", hidden)
		}
	}
}

// Others write all the time, and refusals are counted into rows that are there.
func TestPagesOfTheTrailHoldEachEventOnce(t *testing.T) {
	for _, action := range []string{"", "secret.put"} {
		t.Run("action "+action, func(t *testing.T) {
			b := newBench(t)
			put := func(i int) {
				now := b.clock.Now()
				who := table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: []string{"secret.put", "other.put"}[i%2], Actor: "test"}}
				b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: fmt.Sprintf("S%06d", i), Version: 1, SetAt: now}, who))
				b.must(b.NoteRefusal(b.ctx, b.tenant, "quota", audit.Event{At: now, Action: "request.refused", Actor: "key_1"}))
			}
			for i := range 60 {
				b.clock.Advance(7 * time.Second)
				put(i)
			}
			before, err := b.AuditTrail(b.ctx, b.tenant, 1000)
			b.must(err)
			want := map[string]bool{}
			for _, e := range before {
				if action == "" || e.Action == action {
					want[e.ID] = true
				}
			}
			var writers sync.WaitGroup
			stop := make(chan struct{})
			for g := range 3 {
				writers.Go(func() {
					for i := 1000 * (g + 1); ; i++ {
						select {
						case <-stop:
							return
						default:
							b.clock.Advance(time.Millisecond)
							put(i)
						}
					}
				})
			}
			seen := map[string]int{}
			last := "~"
			for after, more := "", true; more; more = after != "" {
				var page []audit.Event
				page, after, err = b.AuditEvents(b.ctx, b.tenant, table.AuditRange{Action: action, After: after}, 7)
				b.must(err)
				for _, e := range page {
					if seen[e.ID]++; e.ID >= last {
						t.Errorf("%s comes after %s", e.ID, last)
					}
					last = e.ID
				}
			}
			close(stop)
			writers.Wait()
			for e := range want {
				if seen[e] != 1 {
					t.Errorf("%s is there %d times", e, seen[e])
				}
			}
			for e, n := range seen {
				if n != 1 {
					t.Errorf("%s is there %d times", e, n)
				}
			}
		})
	}
}

// A range reads what is in it and nothing else.
func TestThePartsOfATrailAreRangesOfItsKeys(t *testing.T) {
	b := newBench(t)
	all := map[string]time.Time{}
	for i := range 20 {
		b.clock.Advance(500 * time.Millisecond)
		now := b.clock.Now()
		e := audit.Event{ID: id.New(id.Audit, now), At: now, Action: []string{"a.b", "a.bc", "a"}[i%3], Actor: "test"}
		b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: fmt.Sprint("S", i), Version: 1, SetAt: now}, table.By{Audit: e}))
		all[e.ID+" "+e.Action] = now
	}
	for _, r := range []table.AuditRange{
		{Action: "a.b"}, {Action: "a"}, {Action: "a.bc", Since: start.Add(3 * time.Second), Until: start.Add(7 * time.Second)},
		{Since: start.Add(2 * time.Second), Until: start.Add(4 * time.Second)}, {Since: start.Add(time.Hour)}, {Action: "nothing", Until: start},
		{Since: start.Add(4 * time.Second), Until: start.Add(2 * time.Second)},
	} {
		want := map[string]bool{}
		for k, at := range all {
			eventID, action, _ := strings.Cut(k, " ")
			if (r.Action == "" || action == r.Action) && !at.Before(r.Since) && (r.Until.IsZero() || at.Before(r.Until)) {
				want[eventID] = true
			}
		}
		got := map[string]bool{}
		events, next, err := b.AuditEvents(b.ctx, b.tenant, r, 100)
		b.must(err)
		for _, e := range events {
			if e.Action != "tenant.create" {
				got[e.ID] = true
			}
		}
		if !maps.Equal(got, want) || next != "" {
			t.Errorf("%+v gives %d events, want %d; next %q", r, len(got), len(want), next)
		}
	}
	if _, _, err := b.AuditEvents(b.ctx, b.tenant, table.AuditRange{After: "tsk_" + id.NewULID(start)}, 5); err != table.ErrNotFound {
		t.Errorf("a cursor of another kind: %v", err)
	}
}
