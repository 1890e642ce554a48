package secret_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/recorder"
	"outpost/shared/secret"
	"outpost/shared/table"
)

const (
	openai = "OPENAI_API_KEY"
	gemini = "GEMINI_API_KEY"
	xai    = "XAI_API_KEY"
)

// leaseLife is longer than a lease.
const leaseLife = time.Minute

// exists tells whether a tenant's secret of a number is in Secrets Manager.
func (w *depositoryWorld) exists(tenantID string, number int) bool {
	w.t.Helper()
	name := fmt.Sprintf("%s%s/%d", prefix, tenantID, number)
	_, err := w.plain.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	var missing *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &missing) {
		w.t.Fatal(err)
	}
	return err == nil
}

func (w *depositoryWorld) opens(tenantID, name string, want ...string) {
	w.t.Helper()
	got, _, err := w.World.Store.Open(context.Background(), tenantID, name)
	if errors.Is(err, secret.ErrNotSet) {
		got, err = "", nil
	}
	if err != nil || !slices.Contains(want, got) {
		w.t.Errorf("%s: %q, %v; want one of %q", name, got, err, want)
	}
}

// mortal lets a caller make so many calls, of whatever service, and then die: with
// the last one carried out or not.
type mortal struct {
	left    atomic.Int64 // calls; negative for who does not die
	carried bool
	made    atomic.Int64
}

// quiet has what is logged of callers who die shown with the test.
func quiet(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
}

var errDead = errors.New("the caller is dead")

func (m *mortal) lives() (lives, carry bool) {
	m.made.Add(1)
	left := m.left.Add(-1)
	return left > 0 || left < -1_000_000, left == 0 && m.carried
}

func (m *mortal) immortal() { m.left.Store(-2_000_000) }

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	lives, carry := m.lives()
	if lives {
		return enginetest.Transport.RoundTrip(r)
	}
	if carry {
		if res, err := enginetest.Transport.RoundTrip(r); err == nil {
			enginetest.Drop(res)
		}
	}
	return nil, errDead
}

func (m *mortal) through(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lives, carry := m.lives()
		if lives || carry {
			h.ServeHTTP(rw, r)
		}
		if !lives {
			panic(http.ErrAbortHandler)
		}
	})
}

// A caller dies at each of its calls, before it is carried out or after. What was
// set opens, the change is made or not made, the next caller is held up for no
// longer than a lease, and nothing is left over after its change.
func TestWhereverACallerDiesNothingIsLostAndTheNextOneCleansUp(t *testing.T) {
	ops := map[string]struct {
		before []string // names set
		do     func(w *depositoryWorld, tn string, by func(string) table.By) error
		after  map[string][]string
	}{
		"a first put": {nil, func(w *depositoryWorld, tn string, by func(string) table.By) error {
			return w.store.Put(t.Context(), tn, openai, "new", "", by("secret.put"))
		}, map[string][]string{openai: {"", "new"}}},
		"a put": {[]string{openai, openai, gemini}, func(w *depositoryWorld, tn string, by func(string) table.By) error {
			return w.store.Put(t.Context(), tn, openai, "new", "", by("secret.put"))
		}, map[string][]string{openai: {"old", "new"}, gemini: {"old"}}},
		"a deletion": {[]string{openai, gemini}, func(w *depositoryWorld, tn string, by func(string) table.By) error {
			return w.store.DeleteSecret(t.Context(), tn, openai, by("secret.delete"))
		}, map[string][]string{openai: {"old", ""}, gemini: {"old"}}},
		"the last one's deletion": {[]string{openai}, func(w *depositoryWorld, tn string, by func(string) table.By) error {
			return w.store.DeleteSecret(t.Context(), tn, openai, by("secret.delete"))
		}, map[string][]string{openai: {"old", ""}}},
		"the deletion of all": {[]string{openai, gemini}, func(w *depositoryWorld, tn string, by func(string) table.By) error {
			return w.store.DeleteAll(t.Context(), tn, by("secret.delete"))
		}, map[string][]string{openai: {"old", ""}, gemini: {"old", ""}}},
	}
	for name, op := range ops {
		for _, carried := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the last call carried out %v", name, carried), func(t *testing.T) {
				quiet(t)
				m := &mortal{carried: carried}
				w := newDepositoryWorld(t, m, m.through)
				steps := 0
				for calls := 1; ; calls++ {
					m.immortal()
					tn, by, _ := w.Tenant(t)
					for _, name := range op.before {
						must(t, w.store.Put(t.Context(), tn, name, "old", "", by("secret.put")))
					}
					m.left.Store(int64(calls))
					m.made.Store(0)
					err := op.do(w, tn, by)
					survived := m.made.Load() < int64(calls)
					m.immortal()
					for name, values := range op.after {
						w.opens(tn, name, values...)
					}
					w.Clock.Advance(leaseLife)
					// One more change, and what is there is what the table says.
					must(t, w.store.Put(t.Context(), tn, xai, "next", "", by("secret.put")))
					w.opens(tn, xai, "next")
					for name, values := range op.after {
						w.opens(tn, name, values...)
					}
					rows, at, rowsErr := w.Rows.SecretRows(t.Context(), tn)
					must(t, rowsErr)
					var named []string
					for _, s := range rows {
						named = append(named, key(s))
					}
					if held := w.Held(tn); !slices.Equal(held, named) {
						t.Errorf("after %d calls: held are %v, named are %v", calls, held, named)
					}
					for number := 1; number <= at.Number+1; number++ {
						if w.exists(tn, number) != (number == at.Number) {
							t.Errorf("after %d calls: the secret number %d of %d exists: %v", calls, number, at.Number, number != at.Number)
						}
					}
					must(t, w.store.DeleteAll(t.Context(), tn, by("secret.delete")))
					for number := 1; number <= at.Number+2; number++ {
						if w.exists(tn, number) {
							t.Errorf("after %d calls: number %d is left of a tenant without secrets", calls, number)
						}
					}
					if survived {
						if err != nil {
							t.Errorf("alive: %v", err)
						}
						break
					}
					steps++
				}
				if steps < 4 {
					t.Errorf("only %d steps", steps)
				}
			})
		}
	}
}

// gate stops the calls of an operation while it is shut.
type gate struct {
	op            string
	shut          atomic.Bool
	arrived, open chan struct{}
}

func newGate(op string) *gate {
	return &gate{op: op, arrived: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) wait(r *http.Request) {
	if operation(r) == g.op && g.shut.CompareAndSwap(true, false) { // the first alone
		close(g.arrived)
		<-g.open
	}
}

func (g *gate) through(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g.wait(r)
		h.ServeHTTP(rw, r)
	})
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.wait(r)
	return enginetest.Transport.RoundTrip(r)
}

// late makes a call that is stopped until its lease is over and others have
// changed the tenant's secrets.
func late(w *depositoryWorld, g *gate, do func() error, meanwhile func()) error {
	g.shut.Store(true)
	result := make(chan error)
	go func() { result <- do() }()
	<-g.arrived
	w.Clock.Advance(leaseLife)
	meanwhile()
	close(g.open)
	return <-result
}

func TestWhoOutlivesItsLeaseOverwritesNothing(t *testing.T) {
	for _, op := range []string{"GetSecretValue", "PutSecretValue"} {
		t.Run(op, func(t *testing.T) {
			g := newGate(op)
			w := newDepositoryWorld(t, nil, g.through)
			tn, by, _ := w.Tenant(t)
			must(t, w.store.Put(t.Context(), tn, openai, "first", "", by("secret.put")))
			err := late(w, g, func() error { return w.store.Put(t.Context(), tn, openai, "late", "", by("secret.put")) }, func() {
				must(t, w.store.Put(t.Context(), tn, openai, "second", "", by("secret.put")))
				must(t, w.store.Put(t.Context(), tn, gemini, "another", "", by("secret.put")))
			})
			if !errors.Is(err, table.ErrConflict) {
				t.Errorf("the late one heard %v", err)
			}
			w.opens(tn, openai, "second")
			w.opens(tn, gemini, "another")
			must(t, w.store.Put(t.Context(), tn, xai, "third", "", by("secret.put")))
			w.opens(tn, openai, "second")
			w.opens(tn, gemini, "another")
			if held := w.Held(tn); !slices.Equal(held, []string{gemini + "#1", openai + "#1", openai + "#2", xai + "#1"}) {
				t.Errorf("held are %v", held)
			}
		})
	}
}

// A late maker of a secret finds its number given up, and leaves nothing there.
func TestWhoIsLateToMakeASecretDeletesIt(t *testing.T) {
	g := newGate("CreateSecret")
	w := newDepositoryWorld(t, nil, g.through)
	tn, by, _ := w.Tenant(t)
	err := late(w, g, func() error { return w.store.Put(t.Context(), tn, openai, "late", "", by("secret.put")) }, func() {
		must(t, w.store.Put(t.Context(), tn, gemini, "soon forgotten", "", by("secret.put")))
		must(t, w.store.DeleteSecret(t.Context(), tn, gemini, by("secret.delete")))
		must(t, w.store.Put(t.Context(), tn, gemini, "kept", "", by("secret.put")))
	})
	if !errors.Is(err, table.ErrConflict) {
		t.Errorf("the late one heard %v", err)
	}
	w.opens(tn, gemini, "kept")
	w.opens(tn, openai, "")
	if w.exists(tn, 1) || !w.exists(tn, 2) {
		t.Errorf("number 1 exists: %v, number 2: %v", w.exists(tn, 1), w.exists(tn, 2))
	}
}

// Who deletes an empty secret late deletes none that was filled meanwhile.
func TestWhoIsLateToDeleteDeletesNoValue(t *testing.T) {
	g := newGate("DeleteSecret")
	w := newDepositoryWorld(t, nil, g.through)
	tn, by, _ := w.Tenant(t)
	must(t, w.store.Put(t.Context(), tn, openai, "first", "", by("secret.put")))
	must(t, late(w, g, func() error { return w.store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")) }, func() {
		must(t, w.store.Put(t.Context(), tn, openai, "second", "", by("secret.put")))
	}))
	w.opens(tn, openai, "second")
}

// A key that is revoked between the lease and the transaction changes nothing that
// counts.
func TestAKeyRevokedInTheMiddleChangesNothing(t *testing.T) {
	g := newGate("PutSecretValue")
	w := newDepositoryWorld(t, nil, g.through)
	tn, by, revoke := w.Tenant(t)
	must(t, w.store.Put(t.Context(), tn, openai, "first", "", by("secret.put")))
	err := late(w, g, func() error { return w.store.Put(t.Context(), tn, openai, "late", "", by("secret.put")) }, revoke)
	if !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("%v", err)
	}
	w.opens(tn, openai, "first")
	if held := w.Held(tn); !slices.Equal(held, []string{openai + "#1"}) {
		t.Errorf("held are %v", held)
	}
}

// Secrets Manager may forget versions without a label when there are more than a
// hundred. However many are written and never committed, the one that counts is
// there.
func TestTheVersionThatCountsIsNeverForgotten(t *testing.T) {
	quiet(t)
	m := &mortal{}
	w := newDepositoryWorld(t, m, m.through)
	m.immortal()
	tn, by, _ := w.Tenant(t)
	must(t, w.store.Put(t.Context(), tn, openai, "kept", "", by("secret.put")))
	for round := range 2 {
		for range 120 {
			m.left.Store(5) // lease, rows, value, new version; the transaction is not made
			if err := w.store.Put(t.Context(), tn, gemini, "never", "", by("secret.put")); !strings.Contains(err.Error(), errDead.Error()) {
				t.Fatal(err)
			}
			m.immortal()
			w.Clock.Advance(leaseLife)
		}
		if written := w.Written(); written < (round+1)*120 {
			t.Fatalf("only %d versions were written", written)
		}
		w.opens(tn, openai, "kept")
		w.opens(tn, gemini, "")
		// From the other label too.
		must(t, w.store.Put(t.Context(), tn, xai, "more", "", by("secret.put")))
	}
}

func TestWhatDoesNotFitIsRefusedAndNothingElseIsLost(t *testing.T) {
	w := newDepositoryWorld(t, nil, nil)
	tn, by, _ := w.Tenant(t)
	large := strings.Repeat("x", 8<<10)
	var full error
	set := map[string]string{}
	for _, value := range []string{large, large[1:]} {
		for _, name := range []string{openai, gemini, xai, "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"} {
			if err := w.store.Put(t.Context(), tn, name, value, "", by("secret.put")); err == nil {
				set[name] = value
			} else if full = err; !errors.Is(err, secret.ErrFull) || strings.Contains(err.Error(), "xxx") {
				t.Fatal(err)
			}
		}
	}
	if full == nil {
		t.Error("80 KiB were stored")
	}
	for name, value := range set {
		w.opens(tn, name, value)
	}
	must(t, w.store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")))
	must(t, w.store.Put(t.Context(), tn, xai, "it fits", "", by("secret.put"))) // nobody waits for the lease of what was refused
}

// Where Secrets Manager takes no more versions a put is refused, and forgetting is
// not.
func TestTooManyVersionsADayRefuseAPutAndNoDeletion(t *testing.T) {
	var full atomic.Bool
	w := newDepositoryWorld(t, nil, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if full.Load() && operation(r) == "PutSecretValue" {
				rw.Header().Set("X-Amzn-ErrorType", "LimitExceededException")
				rw.WriteHeader(http.StatusBadRequest)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	tn, by, _ := w.Tenant(t)
	for _, name := range []string{openai, gemini} {
		must(t, w.store.Put(t.Context(), tn, name, "a value", "", by("secret.put")))
	}
	full.Store(true)
	if err := w.store.Put(t.Context(), tn, openai, "new", "", by("secret.put")); !errors.Is(err, secret.ErrTooOften) {
		t.Errorf("%v", err)
	}
	must(t, w.store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")))
	w.opens(tn, openai, "")
	w.opens(tn, gemini, "a value")
	full.Store(false)
	must(t, w.store.Put(t.Context(), tn, gemini, "new", "", by("secret.put")))
	if held := w.Held(tn); !slices.Equal(held, []string{gemini + "#1", gemini + "#2"}) {
		t.Errorf("held are %v", held)
	}
}

// A secret that was made may not show at once, nor may a version of it.
func TestWhatDoesNotShowYetIsWaitedFor(t *testing.T) {
	var hidden atomic.Int64
	w := newDepositoryWorld(t, nil, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if op := operation(r); op != "CreateSecret" && hidden.Add(-1) >= 0 {
				rw.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
				rw.WriteHeader(http.StatusBadRequest)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	tn, by, _ := w.Tenant(t)
	hidden.Store(2)
	must(t, w.store.Put(t.Context(), tn, openai, "first", "", by("secret.put")))
	hidden.Store(2)
	w.opens(tn, openai, "first")
	hidden.Store(2)
	must(t, w.store.Put(t.Context(), tn, gemini, "another", "", by("secret.put")))
	w.opens(tn, openai, "first")
	w.opens(tn, gemini, "another")
}

// A secret that somebody deleted in Secrets Manager is an error, not a secret that
// is not set, and can be forgotten.
func TestAMissingSecretIsAnErrorAndCanBeForgotten(t *testing.T) {
	w := newDepositoryWorld(t, nil, nil)
	tn, by, _ := w.Tenant(t)
	must(t, w.store.Put(t.Context(), tn, openai, "a value", "", by("secret.put")))
	name, force := prefix+tn+"/1", true
	_, err := w.plain.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: &force})
	must(t, err)
	if _, _, err := w.store.Open(t.Context(), tn, openai); err == nil || errors.Is(err, secret.ErrNotSet) || !strings.Contains(err.Error(), name) {
		t.Errorf("%v", err)
	}
	must(t, w.store.DeleteAll(t.Context(), tn, by("secret.delete")))
	must(t, w.store.Put(t.Context(), tn, openai, "again", "", by("secret.put")))
	w.opens(tn, openai, "again")
}

// Writers put different names of one tenant at once, and are not told what
// became of some of their calls; leases are outlived all the time. Each writer
// alone puts its name: what it was told is set opens, or what it was told nothing
// of since.
func TestNothingThatWasAcknowledgedIsLostToFaultsAndOthers(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			quiet(t)
			faults := recorder.New()
			db := enginetest.NewFlaky(seed, 0, 0)
			w := newDepositoryWorld(t, db, func(h http.Handler) http.Handler {
				faults.Handle("secretsmanager", h)
				return faults
			})
			tn, by, _ := w.Tenant(t)
			random := rand.New(rand.NewPCG(seed, 2))
			var rules []*recorder.Rule
			for _, e := range []recorder.Effect{recorder.DropRequest, recorder.LoseAnswer, recorder.Duplicate} {
				rules = append(rules, &recorder.Rule{Service: "secretsmanager", Probability: 0.03, Effect: e, Random: random})
			}
			faults.Inject(rules...)
			db.Lose, db.Conflict = 0.02, 0.05
			names := slices.DeleteFunc(secret.Names(), func(n string) bool { return n == secret.GitToken })
			var wait sync.WaitGroup
			var acknowledged, unknown atomic.Int64
			enough := func() bool { // how a race goes is chance: it goes on until it has shown something
				var lost int
				for _, r := range rules {
					lost += r.Count()
				}
				return acknowledged.Load() >= 20 && unknown.Load() >= 5 && lost >= 3
			}
			may := make([]map[string]bool, len(names)) // what each may be
			for i, name := range names {
				may[i] = map[string]bool{"": true}
				wait.Go(func() {
					for n := 0; n < 12 || n < 1000 && !enough(); n++ {
						value := fmt.Sprint(name, " ", n)
						var err error
						if n%5 == 4 {
							value = ""
							err = w.store.DeleteSecret(t.Context(), tn, name, by("secret.delete"))
							if errors.Is(err, table.ErrNotFound) && may[i][""] {
								err = nil
							}
						} else {
							err = w.store.Put(t.Context(), tn, name, value, "", by("secret.put"))
						}
						if err == nil {
							acknowledged.Add(1)
							may[i] = map[string]bool{value: true}
						} else {
							unknown.Add(1)
							may[i][value] = true
							w.Clock.Advance(leaseLife) // the next ones do not wait, whoever holds a lease now
						}
					}
				})
			}
			wait.Wait()
			faults.Inject()
			db.Lose, db.Conflict = 0, 0
			if !enough() {
				t.Errorf("%d acknowledged, %d unknown: the test tests little", acknowledged.Load(), unknown.Load())
			}
			for i, name := range names {
				var values []string
				for v := range may[i] {
					values = append(values, v)
				}
				w.opens(tn, name, values...)
			}
			w.Clock.Advance(leaseLife)
			must(t, w.store.DeleteAll(t.Context(), tn, by("secret.delete")))
			_, at, err := w.Rows.SecretRows(t.Context(), tn)
			must(t, err)
			for number := 1; number <= at.Number; number++ {
				if w.exists(tn, number) {
					t.Errorf("number %d of %d is left", number, at.Number)
				}
			}
		})
	}
}
