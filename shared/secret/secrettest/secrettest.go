// Package secrettest is what every store of tenants' secrets must do, whatever it
// keeps them in.
package secrettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// Start is when a world begins.
var Start = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// World is a store with all that it keeps secrets in.
type World struct {
	Store secret.Store
	Rows  *table.Table
	Clock *clock.Manual
	// Held names the ciphertexts that are kept of a tenant and that count: its
	// secrets' names and versions, as NAME#1, sorted.
	Held func(tenantID string) []string
	// Steal returns what is stored of a version: the key of its ciphertext, as it
	// is stored, and the ciphertext.
	Steal func(tenantID, name string, version int) Loot
	// Plant stores loot as that version of a tenant's secret, as whoever can write
	// to everything may, and makes it the newest.
	Plant func(tenantID, name string, version int, l Loot)
	// Written is how often something was written to a service beside the table.
	Written func() int
}

// Loot is a stored version, in its parts.
type Loot struct{ Key, Ciphertext []byte }

// Tenant makes a tenant, and returns its id and who acts for it by its key.
func (w World) Tenant(t testing.TB) (tenantID string, by func(action string) table.By, revoke func()) {
	t.Helper()
	now := w.Clock.Now()
	tn := tenant.Tenant{ID: id.New(id.Tenant, now), Name: "n", Email: "n@example.com", CreatedAt: now,
		Entitlement: tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1}}
	key := table.Key{ID: id.New(id.Key, now), Hash: "hash of " + tn.ID, Name: "n", Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: now, Entitlement: tn.Entitlement}
	if err := w.Rows.CreateTenant(t.Context(), tn, key, Outpost(now, "tenant.create")); err != nil {
		t.Fatal(err)
	}
	by = func(action string) table.By {
		b := Outpost(w.Clock.Now(), action)
		b.KeyHash, b.Audit.Actor = key.Hash, key.ID
		return b
	}
	return tn.ID, by, func() {
		if _, err := w.Rows.RevokeKey(t.Context(), tn.ID, key.ID, Outpost(now, "key.revoke")); err != nil {
			t.Fatal(err)
		}
	}
}

// Outpost is who makes a change without a key.
func Outpost(at time.Time, action string) table.By {
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, at), At: at, Action: action, Actor: "test"}}
}

// Run runs the suite. Each test has a world of its own.
func Run(t *testing.T, open func(t *testing.T) World) {
	for name, test := range map[string]func(*testing.T, World){
		"the newest value is opened":                    newestOpens,
		"two versions are kept":                         twoKept,
		"what is forgotten is gone":                     forgotten,
		"all of a tenant is forgotten":                  allForgotten,
		"another tenant's is not there":                 anothers,
		"a revoked key writes nothing":                  revoked,
		"each change is in the trail once":              audited,
		"what cannot be a secret is refused":            refused,
		"nothing is lost among many":                    many,
		"nothing else keeps or shows a value":           hidden,
		"what was moved or changed does not open":       moved,
		"a version of another store is not set in this": foreign,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Row stores a row of whatever version as a tenant's.
func (w World) Row(t testing.TB, tenantID string, s table.Sealed) {
	t.Helper()
	by := Outpost(Start, "planted")
	_, at, err := w.Rows.SecretRows(t.Context(), tenantID)
	must(t, err)
	must(t, w.Rows.LeaseDeposit(t.Context(), tenantID, by.Audit.ID, Start, by))
	must(t, w.Rows.CommitDeposit(t.Context(), tenantID, by.Audit.ID, table.DepositChange{Deposit: at, Put: &s}, by))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opens fails unless a secret's newest value is that; "" for one that is not set.
func (w World) opens(t testing.TB, tenantID, name, want string) {
	t.Helper()
	got, _, err := w.Store.Open(context.WithoutCancel(t.Context()), tenantID, name)
	if want == "" {
		if !errors.Is(err, secret.ErrNotSet) || got != "" {
			t.Errorf("%s: %q, %v; want it not to be set", name, got, err)
		}
	} else if got != want || err != nil {
		t.Errorf("%s: %.40q, %v; want %.40q", name, got, err, want)
	}
}

const (
	openai = "OPENAI_API_KEY"
	gemini = "GEMINI_API_KEY"
	xai    = "XAI_API_KEY"
)

func newestOpens(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	w.opens(t, tn, openai, "")
	for _, value := range []string{"first", "second ü\x00", strings.Repeat("x", 8<<10), "x"} {
		must(t, w.Store.Put(t.Context(), tn, openai, value, "", by("secret.put")))
		w.opens(t, tn, openai, value)
	}
	must(t, w.Store.Put(t.Context(), tn, secret.GitToken, "a token", "github.com", by("secret.put")))
	if got, host, err := w.Store.Open(t.Context(), tn, secret.GitToken); got != "a token" || host != "github.com" || err != nil {
		t.Errorf("%q, %q, %v", got, host, err)
	}
	for _, name := range secret.Names() {
		host := ""
		if name == secret.GitToken {
			host = "git.example.com"
		}
		must(t, w.Store.Put(t.Context(), tn, name, "of "+name, host, by("secret.put")))
	}
	for _, name := range secret.Names() {
		w.opens(t, tn, name, "of "+name)
	}
}

func twoKept(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	must(t, w.Store.Put(t.Context(), tn, gemini, "alone", "", by("secret.put")))
	for i := range 5 {
		must(t, w.Store.Put(t.Context(), tn, openai, fmt.Sprint("value ", i+1), "", by("secret.put")))
	}
	if held := w.Held(tn); !slices.Equal(held, []string{gemini + "#1", openai + "#4", openai + "#5"}) {
		t.Errorf("held are %v", held)
	}
	rows, _, err := w.Rows.SecretRows(t.Context(), tn)
	must(t, err)
	if len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
	// Until the newest is there, the one before is what is opened.
	loot := w.Steal(tn, openai, 4)
	must(t, w.Store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")))
	w.Plant(tn, openai, 4, loot)
	w.opens(t, tn, openai, "value 4")
}

func forgotten(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	if err := w.Store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("before it is set: %v", err)
	}
	for range 2 {
		for _, name := range []string{openai, openai, gemini} {
			must(t, w.Store.Put(t.Context(), tn, name, "of "+name, "", by("secret.put")))
		}
		must(t, w.Store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")))
		w.opens(t, tn, openai, "")
		w.opens(t, tn, gemini, "of "+gemini)
		if err := w.Store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		must(t, w.Store.DeleteSecret(t.Context(), tn, gemini, by("secret.delete")))
		if held := w.Held(tn); len(held) != 0 {
			t.Errorf("held are %v", held)
		}
	}
}

func allForgotten(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	other, otherBy, _ := w.Tenant(t)
	must(t, w.Store.DeleteAll(t.Context(), tn, Outpost(w.Clock.Now(), "secret.delete"))) // nothing is set
	for _, name := range []string{openai, openai, gemini} {
		must(t, w.Store.Put(t.Context(), tn, name, "mine", "", by("secret.put")))
		must(t, w.Store.Put(t.Context(), other, name, "theirs", "", otherBy("secret.put")))
	}
	for range 2 {
		must(t, w.Store.DeleteAll(t.Context(), tn, Outpost(w.Clock.Now(), "secret.delete")))
		if held := w.Held(tn); len(held) != 0 {
			t.Errorf("held are %v", held)
		}
		w.opens(t, tn, openai, "")
	}
	if n := len(w.trail(t, tn, "secret.delete")); n != 1 {
		t.Errorf("%d events", n)
	}
	w.opens(t, other, openai, "theirs")
	must(t, w.Store.Put(t.Context(), tn, openai, "again", "", by("secret.put")))
	w.opens(t, tn, openai, "again")
}

func anothers(t *testing.T, w World) {
	mine, by, _ := w.Tenant(t)
	theirs, theirBy, _ := w.Tenant(t)
	must(t, w.Store.Put(t.Context(), mine, openai, "mine", "", by("secret.put")))
	w.opens(t, theirs, openai, "")
	if err := w.Store.DeleteSecret(t.Context(), theirs, openai, theirBy("secret.delete")); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("deleted by another: %v", err)
	}
	must(t, w.Store.Put(t.Context(), theirs, openai, "theirs", "", theirBy("secret.put")))
	// Another tenant's key is no good here, though it is good.
	if err := w.Store.Put(t.Context(), mine, openai, "forged", "", theirBy("secret.put")); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("put by another's key: %v", err)
	}
	w.opens(t, mine, openai, "mine")
	w.opens(t, theirs, openai, "theirs")
}

func revoked(t *testing.T, w World) {
	tn, by, revoke := w.Tenant(t)
	must(t, w.Store.Put(t.Context(), tn, openai, "a value", "", by("secret.put")))
	revoke()
	events, held, written := len(w.trail(t, tn, "")), w.Held(tn), w.Written()
	for range 3 {
		if err := w.Store.Put(t.Context(), tn, openai, "late", "", by("secret.put")); !errors.Is(err, table.ErrKeyRevoked) {
			t.Errorf("put: %v", err)
		}
		if err := w.Store.Put(t.Context(), tn, gemini, "late", "", by("secret.put")); !errors.Is(err, table.ErrKeyRevoked) {
			t.Errorf("put of another: %v", err)
		}
		if err := w.Store.DeleteSecret(t.Context(), tn, openai, by("secret.delete")); !errors.Is(err, table.ErrKeyRevoked) {
			t.Errorf("delete: %v", err)
		}
		if err := w.Store.DeleteAll(t.Context(), tn, by("secret.delete")); !errors.Is(err, table.ErrKeyRevoked) {
			t.Errorf("delete all: %v", err)
		}
	}
	w.opens(t, tn, openai, "a value")
	w.opens(t, tn, gemini, "")
	if n := len(w.trail(t, tn, "")); n != events || !slices.Equal(w.Held(tn), held) || w.Written() != written {
		t.Errorf("%d events more, held %v, %d written to other services", n-events, w.Held(tn), w.Written()-written)
	}
}

func (w World) trail(t testing.TB, tenantID, action string) (events []audit.Event) {
	t.Helper()
	all, err := w.Rows.AuditTrail(t.Context(), tenantID, 1000)
	must(t, err)
	for _, e := range all {
		if action == "" || e.Action == action {
			events = append(events, e)
		}
	}
	return events
}

func audited(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	must(t, w.Store.Put(t.Context(), tn, secret.GitToken, "first-canary-value", "a.example.com", by("secret.put")))
	must(t, w.Store.Put(t.Context(), tn, secret.GitToken, "other-canary-value", "b.example.com", by("secret.put")))
	must(t, w.Store.DeleteSecret(t.Context(), tn, secret.GitToken, by("secret.delete")))
	if err := w.Store.DeleteSecret(t.Context(), tn, secret.GitToken, by("secret.delete")); !errors.Is(err, table.ErrNotFound) {
		t.Error(err)
	}
	puts, deletes := w.trail(t, tn, "secret.put"), w.trail(t, tn, "secret.delete")
	if len(puts) != 2 || len(deletes) != 1 {
		t.Fatalf("%d puts, %d deletes", len(puts), len(deletes))
	}
	slices.SortFunc(puts, func(a, b audit.Event) int { return strings.Compare(fmt.Sprint(a.Changes), fmt.Sprint(b.Changes)) })
	for i, want := range []string{"[{host  a.example.com} {version  1}]", "[{host a.example.com b.example.com} {version 1 2}]"} {
		if got := fmt.Sprint(puts[i].Changes); got != want {
			t.Errorf("put %d shows %s, want %s", i, got, want)
		}
	}
	if got := fmt.Sprint(deletes[0].Changes); got != "[{host b.example.com } {version 2 }]" {
		t.Errorf("the deletion shows %s", got)
	}
	if text := fmt.Sprint(w.trail(t, tn, "")); strings.Contains(text, "canary") {
		t.Errorf("a value is in the trail: %s", text)
	}
}

func refused(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	written := w.Written()
	for _, c := range []struct{ name, value, host, why string }{
		{"AWS_SECRET_ACCESS_KEY", "v", "", "no such secret"}, {"", "v", "", "no name"}, {"openai_api_key", "v", "", "another case"},
		{openai, "", "", "empty"}, {openai, strings.Repeat("x", 8<<10+1), "", "too long"},
		{openai, "v", "github.com", "a host for a provider's key"}, {secret.GitToken, "v", "", "a token without a host"},
	} {
		if err := w.Store.Put(t.Context(), tn, c.name, c.value, c.host, by("secret.put")); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	if len(w.Held(tn)) != 0 || w.Written() != written || len(w.trail(t, tn, "secret.put")) != 0 {
		t.Error("something was stored")
	}
}

// Patient repeats what is worth trying later, as a client does that is told so.
func Patient(do func() error) error {
	for {
		if err := do(); !errors.Is(err, table.ErrConflict) {
			return err
		}
	}
}

// Callers put different and the same names at once, while others open them. Each
// put is a version of its own, what is opened never goes back to what it was, and
// no name is lost to a put of another.
func many(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	names := []string{openai, gemini, xai}
	const writers, puts = 4, 3
	for _, name := range names {
		must(t, w.Store.Put(t.Context(), tn, name, "at first", "", by("secret.put")))
	}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for _, name := range names {
		for i := range writers {
			writing.Go(func() {
				for n := range puts {
					if err := Patient(func() error { return w.Store.Put(t.Context(), tn, name, fmt.Sprint(name, i, n), "", by("secret.put")) }); err != nil {
						t.Errorf("put %s: %v", name, err)
					}
				}
			})
		}
		reading.Go(func() {
			last, over := "at first", map[string]bool{}
			for {
				got, _, err := w.Store.Open(t.Context(), tn, name)
				if err != nil || over[got] || got != "at first" && !strings.HasPrefix(got, name) {
					t.Errorf("%s: %q, %v, after %q", name, got, err, last)
					return
				}
				if got != last {
					over[last], last = true, got
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	for _, name := range names {
		s, err := w.Rows.Secret(t.Context(), tn, name)
		if err != nil || s.Version != 1+writers*puts {
			t.Errorf("%s has version %d after %d puts: %v", name, s.Version, 1+writers*puts, err)
		}
	}
	if n := len(w.trail(t, tn, "secret.put")); n != len(names)*(1+writers*puts) {
		t.Errorf("%d puts in the trail", n)
	}
	if held := w.Held(tn); len(held) != 2*len(names) {
		t.Errorf("held are %v", held)
	}
}

func hidden(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	const value = "sk-a-canary-of-some-length"
	must(t, w.Store.Put(t.Context(), tn, openai, value, "", by("secret.put")))
	all, err := w.Rows.Secrets(t.Context(), tn)
	must(t, err)
	l := w.Steal(tn, openai, 1)
	if text := fmt.Sprintf("%+v %s %s", all, l.Key, l.Ciphertext); strings.Contains(text, "canary") || len(all) != 1 || all[0].Display != "…ngth" {
		t.Errorf("stored is %s", text)
	}
	must(t, w.Store.Put(t.Context(), tn, openai, value, "", by("secret.put")))
	if next := w.Steal(tn, openai, 2); string(next.Ciphertext) == string(l.Ciphertext) || string(next.Key) == string(l.Key) {
		t.Error("equal values are seen to be equal")
	}
	must(t, w.Store.Put(t.Context(), tn, gemini, "shortvalue", "", by("secret.put")))
	if s, err := w.Rows.Secret(t.Context(), tn, gemini); err != nil || s.Display != "…" {
		t.Errorf("%+v, %v", s, err)
	}
}

func moved(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	other, otherBy, _ := w.Tenant(t)
	const value = "a value of some length"
	set := func() Loot {
		must(t, w.Store.Put(t.Context(), tn, openai, value, "", by("secret.put")))
		s, err := w.Rows.Secret(t.Context(), tn, openai)
		must(t, err)
		return w.Steal(tn, openai, s.Version)
	}
	must(t, w.Store.Put(t.Context(), other, gemini, "theirs", "", otherBy("secret.put")))
	theirs := w.Steal(other, gemini, 1)
	flip := func(b []byte, at int) []byte { b = slices.Clone(b); b[at] ^= 1; return b }
	for why, plant := range map[string]func(l Loot) (string, string){
		"to another tenant":  func(l Loot) (string, string) { w.Plant(other, openai, 1, l); return other, openai },
		"to another name":    func(l Loot) (string, string) { w.Plant(tn, xai, 1, l); return tn, xai },
		"to another version": func(l Loot) (string, string) { w.Plant(tn, openai, 99, l); return tn, openai },
		"changed": func(l Loot) (string, string) {
			w.Plant(tn, openai, 1, Loot{l.Key, flip(l.Ciphertext, 20)})
			return tn, openai
		},
		"cut": func(l Loot) (string, string) {
			w.Plant(tn, openai, 1, Loot{l.Key, l.Ciphertext[:10]})
			return tn, openai
		},
		"another key": func(l Loot) (string, string) {
			w.Plant(tn, openai, 1, Loot{flip(l.Key, len(l.Key)-1), l.Ciphertext})
			return tn, openai
		},
		"under a stranger's key": func(l Loot) (string, string) {
			w.Plant(tn, openai, 1, Loot{theirs.Key, l.Ciphertext})
			return tn, openai
		},
		"a stranger's under its key": func(l Loot) (string, string) { w.Plant(tn, openai, 1, theirs); return tn, openai },
	} {
		who, name := plant(set())
		got, _, err := w.Store.Open(t.Context(), who, name)
		if err == nil || errors.Is(err, secret.ErrNotSet) || got != "" || strings.Contains(err.Error(), "a value") {
			t.Errorf("%s: %q, %v", why, got, err)
		}
	}
	// Where it was, it opens.
	l := set()
	s, err := w.Rows.Secret(t.Context(), tn, openai)
	must(t, err)
	w.Plant(tn, openai, s.Version, l)
	w.opens(t, tn, openai, value)
}

// foreign stands for what another store left behind.
func foreign(t *testing.T, w World) {
	tn, by, _ := w.Tenant(t)
	must(t, w.Store.Put(t.Context(), tn, openai, "ours", "", by("secret.put")))
	ours, err := w.Rows.Secret(t.Context(), tn, openai)
	must(t, err)
	left := table.Sealed{Name: gemini, Version: 4, Display: "…left", SetAt: Start}
	if len(ours.Key) > 0 {
		left.Ciphertext, left.WrappedKey = []byte("a ciphertext"), []byte("a key")
	} else {
		left.Key = []byte("a key")
	}
	w.Row(t, tn, left)
	w.opens(t, tn, gemini, "")
	must(t, w.Store.Put(t.Context(), tn, gemini, "set again", "", by("secret.put")))
	w.opens(t, tn, gemini, "set again")
	if held := w.Held(tn); !slices.Equal(held, []string{gemini + "#5", openai + "#1"}) {
		t.Errorf("held are %v", held)
	}
	left.Name = xai
	w.Row(t, tn, left)
	must(t, w.Store.DeleteSecret(t.Context(), tn, xai, by("secret.delete")))
	must(t, w.Store.DeleteSecret(t.Context(), tn, gemini, by("secret.delete")))
	rows, _, err := w.Rows.SecretRows(t.Context(), tn)
	if err != nil || len(rows) != 1 || rows[0].Name != openai {
		t.Errorf("%+v, %v", rows, err)
	}
	w.opens(t, tn, openai, "ours")
}
