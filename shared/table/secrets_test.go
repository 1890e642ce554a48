package table_test

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"outpost/shared/table"
)

func TestTwoVersionsOfASecretAreKept(t *testing.T) {
	b := newBench(t)
	put := func(name string, version int) {
		b.must(b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: name, Version: version, Ciphertext: []byte{byte(version)}, SetAt: start}, by("secret.put")))
	}
	for v := 1; v <= 5; v++ {
		put("OPENAI_API_KEY", v)
	}
	put("OPENAI_API_KEY_2", 1) // a name that begins with another
	all, err := b.Secrets(b.ctx, b.tenant)
	b.must(err)
	if len(all) != 2 || all[0].Name != "OPENAI_API_KEY" || all[0].Version != 5 {
		t.Errorf("secrets: %+v", all)
	}
	// The version before is there still, the one before that is not.
	if err := b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: 4, SetAt: start}, by("secret.put")); !errors.Is(err, table.ErrExists) {
		t.Errorf("version 4: %v", err)
	}
	// And cannot be put again by who is late, nor can the first, which is gone too.
	for _, version := range []int{1, 2, 3, 7} {
		if err := b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: version, SetAt: start}, by("secret.put")); !errors.Is(err, table.ErrExists) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	b.must(b.DeleteSecret(b.ctx, b.tenant, "OPENAI_API_KEY", by("secret.delete")))
	if _, err := b.Secret(b.ctx, b.tenant, "OPENAI_API_KEY"); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
	if err := b.DeleteSecret(b.ctx, b.tenant, "OPENAI_API_KEY", by("secret.delete")); !errors.Is(err, table.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := b.Secret(b.ctx, b.tenant, "OPENAI_API_KEY_2"); err != nil {
		t.Errorf("another name went with it: %v", err)
	}
}

// A revoked key writes nothing, though the authorizer's answer about it may be a
// minute old.
func TestARevokedKeyChangesNoSecret(t *testing.T) {
	b := newBench(t)
	mine := by("secret.put")
	mine.KeyHash = b.caller.KeyHash
	s := table.Sealed{Name: "OPENAI_API_KEY", Version: 1, Ciphertext: []byte{1}, SetAt: start}
	b.must(b.PutSecret(b.ctx, b.tenant, s, mine))
	b.revoke()
	before, err := b.AuditTrail(b.ctx, b.tenant, 10)
	b.must(err)
	s.Version = 2
	mine.Audit = by("secret.put").Audit
	if err := b.PutSecret(b.ctx, b.tenant, s, mine); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("put: %v", err)
	}
	if err := b.DeleteSecret(b.ctx, b.tenant, s.Name, mine); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("delete: %v", err)
	}
	if now, err := b.Secret(b.ctx, b.tenant, s.Name); err != nil || now.Version != 1 {
		t.Errorf("it is %+v, %v", now, err)
	}
	if after, err := b.AuditTrail(b.ctx, b.tenant, 10); err != nil || len(after) != len(before) {
		t.Errorf("the trail has %d events, before %d", len(after), len(before))
	}
}

func TestOneOfManyPutsAVersion(t *testing.T) {
	b := newBench(t)
	var wait sync.WaitGroup
	won := make(chan int, 20)
	for i := range 20 {
		wait.Go(func() {
			err := b.PutSecret(b.ctx, b.tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: 1, Ciphertext: []byte{byte(i)}, SetAt: start}, by("secret.put"))
			if err == nil {
				won <- i
			} else if !errors.Is(err, table.ErrExists) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	close(won)
	var winners []int
	for i := range won {
		winners = append(winners, i)
	}
	if s, err := b.Secret(b.ctx, b.tenant, "OPENAI_API_KEY"); err != nil || len(winners) != 1 || s.Ciphertext[0] != byte(winners[0]) {
		t.Errorf("winners %v, stored %+v, %v", winners, s, err)
	}
}

// Who is stopped between its look and its write, while others put the same secret
// for the first time and so often that its version is forgotten again, puts
// nothing below theirs.
func TestAFirstVersionIsNotPutLate(t *testing.T) {
	var stopped atomic.Bool
	arrived, on := make(chan struct{}), make(chan struct{})
	b := benchHearing(t, func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if operation(r) == "TransactWriteItems" && stopped.CompareAndSwap(true, false) {
			close(arrived)
			<-on
		}
		return send()
	})
	sealed := func(version int, text string) table.Sealed {
		return table.Sealed{Name: "OPENAI_API_KEY", Version: version, Ciphertext: []byte(text), SetAt: start}
	}
	stopped.Store(true)
	late := make(chan error)
	go func() { late <- b.PutSecret(b.ctx, b.tenant, sealed(1, "late"), by("secret.put")) }()
	<-arrived
	for v := 1; v <= 3; v++ {
		b.must(b.PutSecret(b.ctx, b.tenant, sealed(v, "in time"), by("secret.put")))
	}
	close(on)
	if err := <-late; !errors.Is(err, table.ErrExists) {
		t.Errorf("the late one heard %v", err)
	}
	rows, _, err := b.SecretRows(b.ctx, b.tenant)
	if err != nil || len(rows) != 2 || rows[0].Version != 2 || rows[1].Version != 3 {
		t.Errorf("%+v, %v", rows, err)
	}
}
