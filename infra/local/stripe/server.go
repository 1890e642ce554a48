package stripe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
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

// request is one call.
type request struct {
	*form
	id     string // {id} of the path
	path   string
	key    string // Idempotency-Key
	number string // Request-Id
	expand []string
}

// operation answers a call with an object, or a map that is the answer itself.
type operation func(*request) (any, error)

// answered is what an Idempotency-Key replays.
type answered struct {
	At      int64
	Request string // hash of method, path and parameters
	Status  int
	Body    []byte
	Number  string // Request-Id of the first
}

// keyLife is how long an Idempotency-Key is kept.
const keyLife = 24 * 60 * 60

// api adds an operation of the API.
func (s *Server) api(pattern string, op operation) {
	if strings.Contains(pattern, " ") {
		s.operations = append(s.operations, pattern)
	}
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			s.refuse(w, invalid("", "The body could not be read."))
			return
		}
		fault := s.faults.next(r)
		if fault.before(w, s) {
			return
		}
		status, answer, header := s.perform(r, body, op)
		if fault.LoseAnswer {
			breakOff(w)
			return
		}
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write(answer) // the caller has gone
	})
}

// perform does a call once for each Idempotency-Key.
func (s *Server) perform(r *http.Request, body []byte, op operation) (status int, answer []byte, header map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := &request{id: r.PathValue("id"), path: r.URL.Path, number: s.newID("req")}
	s.host = "http://" + r.Host
	if r.Method == http.MethodPost {
		req.key = r.Header.Get("Idempotency-Key")
	}
	header = map[string]string{"Content-Type": "application/json", "Request-Id": req.number, "Stripe-Version": APIVersion}
	if req.key != "" {
		header["Idempotency-Key"] = req.key
	}
	fail := func(e *Error) (int, []byte, map[string]string) { return e.Status, e.body(), header }
	if e := s.authenticate(r); e != nil {
		return fail(e)
	}
	if v := r.Header.Get("Stripe-Version"); v != "" && v != APIVersion {
		return fail(invalid("", "The stand-in speaks API version %s, not %s.", APIVersion, v))
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %s?%s\n%s", r.Method, r.URL.Path, r.URL.RawQuery, body)))
	if len(req.key) > 255 {
		return fail(invalid("", "The idempotency key is longer than 255 characters."))
	}
	if first := s.answers[req.key]; req.key != "" && first != nil && first.At+keyLife > s.o.Clock.Now().Unix() {
		if first.Request != sum {
			return fail(&Error{Status: 400, Type: "idempotency_error",
				Message: fmt.Sprintf("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '%s' if you meant to execute a different request.", req.key)})
		}
		header["Idempotent-Replayed"], header["Original-Request"] = "true", first.Number
		return first.Status, first.Body, header
	}
	var err error
	if req.form, err = parseForm(r.URL.RawQuery, string(body)); err == nil {
		req.expand = req.texts("expand")
		var out any
		if out, err = s.run(req, op); err == nil {
			status, answer = 200, s.encode(out, req.expand)
		}
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Status: 500, Type: "api_error", Message: err.Error()}
		}
		status, answer = e.Status, e.body()
	}
	// What failed before it began is not kept: it may be tried again.
	if req.key != "" && status != 400 && status != 404 {
		s.answers[req.key] = &answered{At: s.o.Clock.Now().Unix(), Request: sum, Status: status, Body: answer, Number: req.number}
	}
	if r.Method != http.MethodGet {
		s.save()
	}
	return status, answer, header
}

// run runs an operation as the request that its events name.
func (s *Server) run(req *request, op operation) (any, error) {
	s.request = req
	defer func() { s.request = nil }()
	return op(req)
}

func (s *Server) authenticate(r *http.Request) *Error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		key, _, ok = r.BasicAuth()
	}
	if !ok || !strings.HasPrefix(key, "sk_"+"test_") || (s.o.Key != "" && key != s.o.Key) {
		return &Error{Status: 401, Type: "invalid_request_error", Message: "Invalid API Key provided."}
	}
	return nil
}

func (s *Server) encode(out any, expand []string) []byte {
	if res, ok := out.(resource); ok {
		out = s.show(res, expand...)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		panic("stripe: " + err.Error()) // only for a type that cannot be JSON
	}
	return b.Bytes()
}

func (e *Error) body() []byte {
	body, _ := json.Marshal(map[string]*Error{"error": e}) // plain strings
	return body
}

func (s *Server) refuse(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.body())
}
