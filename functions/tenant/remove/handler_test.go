package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/audit"
	"outpost/shared/entitlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

func TestTheDataOfAClosedTenantAreRemovedAfterTheirTime(t *testing.T) {
	w := newWorld(t)
	w.round()
	if got := w.contents(); len(got.rows) != len(w.before.rows) || len(got.objects) != len(w.before.objects) {
		t.Fatal("something was removed before its time")
	}
	w.clock.Advance(time.Minute)
	w.round()
	w.gone()
	for _, hash := range w.hashes {
		if _, err := w.store.KeyByHash(t.Context(), hash); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("a key of it: %v", err)
		}
	}
	if len(w.hashes) != 5 || len(w.customers) != 2 || len(w.before.rows) < 80 {
		t.Errorf("the world is poorer than it should be: %d keys, %d customers, %d rows", len(w.hashes), len(w.customers), len(w.before.rows))
	}
	after := w.contents()
	w.round()
	if got := w.contents(); len(got.rows) != len(after.rows) {
		t.Error("a later round changed something")
	}
}

// Each call of the remover is its last one, or its answer is lost. Whatever that
// leaves, the next round ends it.
func TestARemovalThatIsCutOffAnywhereIsEndedByTheNextRound(t *testing.T) {
	first := newWorld(t)
	first.clock.Advance(time.Minute)
	for _, lost := range []bool{false, true} {
		for n := 0; ; n++ {
			w := first.again(t)
			cut := settlementtest.After(n)
			cut.Lost = lost
			err := w.remover(cut).handle(t.Context())
			if !cut.Reached() {
				if err != nil || n < 25 {
					t.Fatalf("%d calls in all, the end is %v", n, err)
				}
				t.Logf("%d calls", n)
				break
			}
			w.untouched()
			tn, err := w.store.Tenant(t.Context(), w.tenant)
			w.must(err)
			if left := w.left(); !tn.RemovedAt.IsZero() && len(left) != 3 {
				t.Fatalf("cut off after %d calls it is said to be removed, and left are %v", n, left)
			}
			w.round()
			w.gone()
		}
	}
}

func TestManyRemoversAtOnceRemoveATenantOnce(t *testing.T) {
	first := newWorld(t)
	first.clock.Advance(time.Minute)
	for seed := range uint64(10) {
		w := first.again(t)
		var wait sync.WaitGroup
		for n := range uint64(4) {
			flaky := enginetest.NewFlaky(seed*10+n, 0.1, 0.3)
			wait.Go(func() { _ = w.remover(flaky).handle(t.Context()) })
		}
		wait.Wait()
		w.untouched()
		w.round()
		w.gone()
	}
}

// during runs something before one of the calls that it carries.
type during struct {
	call, calls int
	do          func()
}

func (d *during) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.calls++; d.calls == d.call {
		d.do()
	}
	return enginetest.Transport.RoundTrip(r)
}

// Stripe's events, the operator, the authorizer, the scheduler and the reaper know
// nothing of a removal. Whatever they do between two of its calls, nothing of the
// tenant comes back.
func TestNothingComesBackWhoeverActsDuringARemoval(t *testing.T) {
	first := newWorld(t)
	first.clock.Advance(time.Minute)
	for call := 1; ; call++ {
		w := first.again(t)
		keeper := w.billing.Keeper
		keeper.Store, keeper.Clock = w.store, w.clock
		hindrance := &during{call: call, do: func() {
			w.clock.Advance(time.Second)
			for _, event := range []string{"evt_late_" + w.tenant, ""} {
				w.clock.Advance(time.Second)
				if _, err := keeper.Sync(t.Context(), w.tenant, entitlement.Cause{Actor: "test", Event: event}); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.store.TenantOfCustomer(t.Context(), w.customers[1])
			if err != nil && !errors.Is(err, table.ErrNotFound) {
				t.Fatal(err)
			}
			w.close()
			w.must(w.store.NoteRefusal(t.Context(), w.tenant, "tenant_closed", w.by("request.refused").Audit))
			if err := w.store.TouchKey(t.Context(), table.Key{Hash: w.hashes[0]}); err != nil {
				t.Fatal(err)
			}
			if err := w.store.Park(t.Context(), w.tenant, tenant.Load{}); !errors.Is(err, table.ErrStale) {
				t.Fatal(err)
			}
			if err := w.store.PutSecret(t.Context(), w.tenant, table.Sealed{Name: "A", Version: 9}, table.By{KeyHash: w.hashes[3], Audit: w.by("secret.put").Audit}); !errors.Is(err, table.ErrKeyRevoked) {
				t.Fatal(err)
			}
		}}
		w.must(w.remover(hindrance).handle(t.Context()))
		if hindrance.calls < call {
			if call < 25 {
				t.Fatalf("%d calls in all", hindrance.calls)
			}
			break
		}
		if tn, err := w.store.Tenant(t.Context(), w.tenant); err == nil && tn.RemovingAt.IsZero() { // the refusal is exported first
			w.clock.Advance(3 * aDay)
			w.export(w.tenant, audit.Day(w.clock.Now().Add(-2*aDay)))
			w.before = w.contents()
		}
		w.round()
		w.gone("request.refused")
	}
}

// past is an index that stands still once it was read.
type past struct {
	mu   sync.Mutex
	seen map[string][]byte
}

func (p *past) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return enginetest.Transport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	res, err := enginetest.Transport.RoundTrip(r)
	if err != nil || !bytes.Contains(body, []byte(`"GSI1"`)) {
		return res, err
	}
	answer, err := io.ReadAll(res.Body)
	res.Body.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[string(body)] == nil {
		p.seen[string(body)] = answer
	}
	res.Header.Del("X-Amz-Crc32")
	answer = p.seen[string(body)]
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
	return res, err
}

func TestAnIndexOfThePastDoesNotKeepARemovalFromItsEnd(t *testing.T) {
	w := newWorld(t)
	w.clock.Advance(time.Minute)
	p := &past{seen: map[string][]byte{}}
	w.must(w.remover(p).handle(t.Context()))
	if len(p.seen) < 2 {
		t.Errorf("%d questions to the index", len(p.seen))
	}
	w.gone()
}

// waits fails unless a round removes nothing; late tells whether it says that the
// tenant is late.
func (w *world) waits(late bool, why string) {
	w.t.Helper()
	before := w.left()
	err := w.remover(nil).handle(w.t.Context())
	if (err != nil) != late || late && !strings.Contains(err.Error(), why) {
		w.t.Errorf("the remover says %v", err)
	}
	if got := w.left(); !slices.Equal(got, before) {
		w.t.Errorf("something is gone: %v", got)
	}
}

func TestNothingIsRemovedBeforeTheTrailIsExportedToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.clock.Advance(time.Minute)
	last := w.clock.Now() // the last event, as of a subscription that somebody ended now
	w.must(w.store.NoteRefusal(t.Context(), w.tenant, "late", w.by("request.refused").Audit))
	w.waits(false, "")
	day := audit.Day(last)
	head, _, err := w.store.ExportHead(t.Context(), w.tenant)
	w.must(err)
	w.clock.Advance(aDay)
	w.exported(day)
	w.waits(false, "") // all days are, they say, but its own is not
	w.must(w.store.BeginExport(t.Context(), w.tenant, head, day))
	w.waits(false, "")
	w.must(w.store.EndExport(t.Context(), w.tenant, audit.Link{Sequence: head.Sequence + 1, Ref: audit.Ref{Day: day, SHA256: "x"}}))
	w.waits(false, "") // what comes late is still looked for
	w.exported(audit.Day(last.Add(aDay)))
	w.waits(false, "")
	w.clock.Advance(patience)
	w.waits(true, "the audit trail")
	w.exported(audit.Day(last.Add(2 * aDay)))
	w.before = w.contents()
	w.round()
	w.gone()
}

func TestNothingIsRemovedWhileStripeMayTakeMoney(t *testing.T) {
	w := newWorld(t)
	w.clock.Advance(time.Minute)
	w.round() // the one that is paid for no longer
	w.billing.Another("free")
	w.tenant = w.billing.Tenant
	_, w.customers = w.moveIn()
	w.close()
	closed := w.clock.Now()
	w.round()
	w.clock.Advance(tenant.KeptClosed)
	w.export(w.tenant, audit.Day(closed)) // Stripe is down all the time
	w.waits(false, "")
	w.clock.Advance(patience + time.Minute)
	w.waits(true, "Stripe")
	w.sync("") // now it answers: the subscription is ended
	if subs := w.billing.Fake.Subscriptions(w.customers[1]); len(subs) != 1 || subs[0].Status != "canceled" {
		t.Errorf("its subscriptions: %+v", subs)
	}
	w.waits(true, "the audit trail") // that is an event
	w.clock.Advance(3 * aDay)
	w.export(w.tenant, audit.Day(w.clock.Now().Add(-3*aDay)))
	w.before = w.contents()
	w.round()
	left := w.left()
	if len(left) != 3 {
		t.Errorf("left are %v", left)
	}
	if _, err := w.store.TenantOfCustomer(t.Context(), w.customers[1]); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("Stripe's customer is still somebody's: %v", err)
	}
}

func TestAKeyOfTheTrailThatIsNewerThanItsExportStays(t *testing.T) {
	w := newWorld(t)
	w.clock.Advance(time.Minute)
	w.must(w.store.BeginRemoval(t.Context(), w.tenant))
	until, whole, err := w.store.TrailExported(t.Context(), w.tenant)
	if w.must(err); !whole {
		t.Fatal("the trail is not exported")
	}
	w.must(w.store.NoteRefusal(t.Context(), w.tenant, "late", w.by("request.refused").Audit))
	for n := 1; n > 0; {
		n, err = w.store.RemoveRows(t.Context(), w.tenant, until)
		w.must(err)
	}
	events, err := w.store.AuditTrail(t.Context(), w.tenant, 10)
	if w.must(err); len(events) != 1 || events[0].Action != "request.refused" {
		t.Errorf("of the trail is left: %+v", events)
	}
}
