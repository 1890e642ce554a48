package stripe

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

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
		status, answer, header, lost := s.perform(r, body, op)
		if fault.LoseAnswer || lost {
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

// perform does a call once for each Idempotency-Key, and tells whether a fault that
// befell it then loses its answer.
func (s *Server) perform(r *http.Request, body []byte, op operation) (status int, answer []byte, header map[string]string, lost bool) {
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
	fail := func(e *Error) (int, []byte, map[string]string, bool) { return e.Status, e.body(), header, false }
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
		return first.Status, first.Body, header, false
	}
	var fault Fault
	if req.key != "" {
		fault = s.faults.kept(r)
	}
	var err error
	if fault.Kept && !fault.Done {
		err = errBroken(fault.Status)
	} else if req.form, err = parseForm(r.URL.RawQuery, string(body)); err == nil {
		req.expand = req.texts("expand")
		var out any
		if out, err = s.run(req, op); err == nil {
			status, answer = 200, s.encode(out, req.expand)
		}
		if fault.Kept {
			err = errBroken(fault.Status)
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
	return status, answer, header, fault.LoseAnswer
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
