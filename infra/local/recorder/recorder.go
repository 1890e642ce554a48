// Package recorder is the one address of all engines: it sends each request to
// the service that its signature names, records who called what and at what
// cost, and injects faults. It changes one thing in what passes: DynamoDB
// requests are asked for the capacity that they consume.
package recorder

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"outpost/shared/clock"
	"outpost/shared/topology"
)

// Call is one recorded request.
type Call struct {
	Service string // as its signature names it: dynamodb, s3, sqs, states, ecs, kms, secretsmanager
	Action  string
	Caller  string  // the application's name in the User-Agent
	Status  int     // what the caller was told; 0 when it was told nothing
	Units   float64 // capacity units that DynamoDB reported
	// Needs are the permissions that the call wants on AWS.
	Needs []topology.Permission
}

// Recorder is the handler in front of the engines.
type Recorder struct {
	services map[string]http.Handler
	// Allow, when set before the first request, is asked for each permission of a
	// call that names its caller: roles are enforced here as IAM does on AWS.
	Allow func(caller string, p topology.Permission) bool

	mu    sync.Mutex
	calls []Call
	rules []*Rule
}

// maxCalls bounds what is kept; the oldest half is dropped.
const maxCalls = 200_000

// New returns a recorder without services.
func New() *Recorder { return &Recorder{services: map[string]http.Handler{}} }

// Handle serves a service in this process.
func (r *Recorder) Handle(service string, h http.Handler) { r.services[service] = h }

// Forward sends a service's requests to an engine. The Host header stays as the
// caller sent it: signatures cover it.
func (r *Recorder) Forward(service, endpoint string) error {
	target, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	r.services[service] = &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	return nil
}

// Calls returns what was recorded since the last Reset, oldest first.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call(nil), r.calls...)
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}

func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	call := Call{Service: service(req), Caller: caller(req)}
	_, call.Action, _ = strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	if call.Service == "s3" {
		call.Action = req.Method
	}
	var body []byte
	if call.Service != "s3" || req.Method == http.MethodPost {
		body = whole(req)
	}
	call.Needs = permissions(call, req, body)
	h := r.services[call.Service]
	if h == nil {
		http.Error(w, "no service "+call.Service+" here", http.StatusBadRequest)
		return
	}
	defer func() { r.record(call) }()
	if denied, ok := r.denied(call); ok {
		call.Status = deny(w, call, denied)
		return
	}
	effect, fault := Effect(""), r.fault(call)
	if fault != nil {
		effect = fault.Effect
	}
	out := &observed{ResponseWriter: w, status: http.StatusOK, keep: call.Service == "dynamodb"}
	switch effect {
	case DropRequest:
		panic(http.ErrAbortHandler) // the connection closes without an answer
	case Fail:
		call.Status = fault.fail(w)
		return
	case Delay:
		select {
		case <-clock.System.After(fault.Delay):
		case <-req.Context().Done():
		}
	case LoseAnswer:
		out.ResponseWriter = discard{http.Header{}}
	case Duplicate:
		twice(h, req)
	}
	if call.Service == "dynamodb" {
		askForCapacity(req, body)
	}
	h.ServeHTTP(out, req)
	call.Units = capacity(out.body.Bytes())
	if effect == LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	call.Status = out.status
}

func (r *Recorder) record(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) >= maxCalls {
		r.calls = append([]Call(nil), r.calls[maxCalls/2:]...)
	}
	r.calls = append(r.calls, c)
}

var (
	scope   = regexp.MustCompile(`Credential=[^/]+/\d{8}/[^/]+/([a-z0-9]+)/aws4_request`)
	appName = regexp.MustCompile(`(?:^| )app/([^ ]+)`)
)

// service is the service that a request's signature is for.
func service(req *http.Request) string {
	if m := scope.FindStringSubmatch(req.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	if parts := strings.Split(req.URL.Query().Get("X-Amz-Credential"), "/"); len(parts) == 5 {
		return parts[3]
	}
	return "unsigned"
}

func caller(req *http.Request) string {
	if m := appName.FindStringSubmatch(req.UserAgent()); m != nil {
		return m[1]
	}
	return ""
}

// denied finds a permission that the caller does not have.
func (r *Recorder) denied(c Call) (topology.Permission, bool) {
	if r.Allow == nil || c.Caller == "" { // a presigned URL names nobody
		return topology.Permission{}, false
	}
	for _, p := range c.Needs {
		if !r.Allow(c.Caller, p) {
			return p, true
		}
	}
	return topology.Permission{}, false
}

// whole reads the body of a request, which is small unless it is an object's,
// and puts it back.
func whole(req *http.Request) []byte {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// askForCapacity sets ReturnConsumedCapacity; the engine checks no signature.
func askForCapacity(req *http.Request, body []byte) {
	var doc map[string]json.RawMessage
	if json.Unmarshal(body, &doc) == nil && doc != nil && doc["ReturnConsumedCapacity"] == nil {
		doc["ReturnConsumedCapacity"] = json.RawMessage(`"TOTAL"`)
		if asked, err := json.Marshal(doc); err == nil {
			body = asked
		}
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// capacity sums the units of a DynamoDB answer.
func capacity(body []byte) float64 {
	type units struct{ CapacityUnits float64 }
	var one struct{ ConsumedCapacity units }
	if json.Unmarshal(body, &one) == nil {
		return one.ConsumedCapacity.CapacityUnits
	}
	var many struct{ ConsumedCapacity []units }
	sum := 0.0
	if json.Unmarshal(body, &many) == nil {
		for _, u := range many.ConsumedCapacity {
			sum += u.CapacityUnits
		}
	}
	return sum
}

// observed notes an answer's status and, if wanted, its body.
type observed struct {
	http.ResponseWriter
	status int
	keep   bool
	body   bytes.Buffer
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	if o.keep {
		o.body.Write(b)
	}
	return o.ResponseWriter.Write(b)
}

// discard swallows an answer that is to be lost.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
