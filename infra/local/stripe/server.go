package stripe

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"outpost/shared/clock"
)

// APIVersion is the version that the stand-in speaks, the one of stripe-go v76.
const APIVersion = "2023-10-16"

// Options say how a stand-in is.
type Options struct {
	// Key is the secret key that callers must send; any sk_test_ key when empty.
	Key   string
	Seed  uint64      // of ids, secrets and faults
	Clock clock.Clock // of events, signatures and retries; the system's when nil
	File  string      // that keeps the state; empty keeps it in memory alone
	// URL and Secret are a webhook endpoint that is there from the start, for
	// every event: none without a URL, a secret of its own without one.
	URL, Secret string
	// AfterRetries is what becomes of a subscription whose invoice was never
	// paid: "canceled" (when empty), "unpaid" or "past_due".
	AfterRetries string
	Client       *http.Client // sends webhooks; one with a 20 s timeout when nil
	Log          func(format string, args ...any)
}

// Server is the stand-in: an http.Handler of Stripe's API and pages. It is safe
// for concurrent use; requests are served one after the other.
type Server struct {
	o   Options
	mux *http.ServeMux

	operations []string

	mu sync.Mutex
	store
	ahead      int64 // seconds that billing is ahead of the clock
	acting     int64 // the time that a move of the clock has come to; 0 outside
	request    *request
	host       string // where the last caller found the stand-in
	answers    map[string]*answered
	deliveries []*Delivery
	faults     faults
	busy       sync.Mutex    // one sender of webhooks at a time
	wake       chan struct{} // a delivery was added
}

// New opens a stand-in.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	o.AfterRetries = cmp.Or(o.AfterRetries, "canceled")
	s := &Server{o: o, mux: http.NewServeMux(), wake: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.faults.seed(o.Seed)
	if o.URL != "" {
		s.register(o.URL, o.Secret)
		s.save()
	}
	s.routes()
	return s, nil
}

// Run moves what time moves and sends webhooks, until the context ends.
func (s *Server) Run(ctx context.Context) {
	for {
		s.Tick()
		s.Deliver(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-s.o.Clock.After(time.Second):
		}
	}
}

// ServeHTTP serves the API under /v1 and pages elsewhere.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Operations are what the API serves, as "POST /v1/customers/{id}".
func (s *Server) Operations() []string { return slices.Clone(s.operations) }

// Error is an error as Stripe answers it.
type Error struct {
	Status      int    `json:"-"`
	Type        string `json:"type"`
	Code        string `json:"code,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	Message     string `json:"message"`
	Param       string `json:"param,omitempty"`
}

func (e *Error) Error() string { return e.Message }

func invalid(param, format string, args ...any) *Error {
	return &Error{Status: 400, Type: "invalid_request_error", Param: param, Message: fmt.Sprintf(format, args...)}
}
