package stripe

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Fault is what befalls calls of the API.
type Fault struct {
	Path  string // that the calls begin with, as /v1/customers; empty for all
	Times int    // how many calls; negative for every one until Heal
	// One of these. Status answers it, and does nothing; Down breaks the
	// connection off, and does nothing; LoseAnswer does the work and breaks the
	// connection off; none of them waits for Delay and goes on.
	Status     int
	Down       bool
	LoseAnswer bool
	Delay      time.Duration
	// Kept is a Status for calls with an Idempotency-Key that is new: it is kept
	// under that and replayed for a day. With Done the work is done all the same,
	// with LoseAnswer not even the Status arrives.
	Kept, Done bool
}

// WebhookFaults are chances, from 0 to 1, that a webhook meets.
type WebhookFaults struct {
	Drop      float64 // it never arrives and is never tried again; the event stays undelivered
	Duplicate float64 // it arrives twice
	Delay     float64 // it comes late, by up to DelayBy
	DelayBy   time.Duration
	Reorder   bool // those that are due at once are sent in any order
	// Forge adds a webhook that must be refused: signed with another secret,
	// stale, of another API version, live, or of another account. Its event has
	// an id of its own, that Forged tells.
	Forge float64
}

type faults struct {
	mu       sync.Mutex
	rand     *rand.Rand
	api      []*Fault
	webhooks WebhookFaults
	forged   []string
	calls    int
}

func (f *faults) seed(seed uint64) { f.rand = rand.New(rand.NewPCG(seed, 1)) }

// Fail makes calls of the API meet a fault, after those made before.
func (s *Server) Fail(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.api = append(s.faults.api, &f)
}

// FailWebhooks sets what befalls the webhooks of events from now on.
func (s *Server) FailWebhooks(f WebhookFaults) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.webhooks = f
}

// Heal ends every fault. Webhooks on their way keep theirs.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.api, s.faults.webhooks = nil, WebhookFaults{}
}

// Calls counts the calls of the API that came in, those that met a fault too.
func (s *Server) Calls() int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.calls
}

// next is the fault of a call that comes in.
func (f *faults) next(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return f.take(r, false)
}

// kept is the fault of a call that has begun under a new Idempotency-Key.
func (f *faults) kept(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.take(r, true)
}

func (f *faults) take(r *http.Request, kept bool) Fault {
	for _, fault := range f.api {
		if fault.Times != 0 && fault.Kept == kept && strings.HasPrefix(r.URL.Path, fault.Path) {
			fault.Times = max(fault.Times-1, -1)
			return *fault
		}
	}
	return Fault{}
}

// breakOff ends the connection within the first word of an answer. Before that
// word, Go's client may send the request once more by itself, and nobody would
// see the fault.
func breakOff(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = conn.Write([]byte("HTTP"))
	_ = conn.Close()
}

func errBroken(status int) *Error {
	return &Error{Status: status, Type: "api_error", Message: "An unknown error occurred."}
}

// before does what a fault does in place of a call, and tells whether it did.
func (f Fault) before(w http.ResponseWriter, s *Server) bool {
	switch {
	case f.Down:
		breakOff(w)
		return true
	case f.Status == http.StatusTooManyRequests:
		s.refuse(w, &Error{Status: f.Status, Type: "invalid_request_error", Code: "rate_limit", Message: "Request rate limit exceeded."})
		return true
	case f.Status != 0:
		s.refuse(w, errBroken(f.Status))
		return true
	case f.Delay > 0:
		<-s.o.Clock.After(f.Delay)
	}
	return false
}
