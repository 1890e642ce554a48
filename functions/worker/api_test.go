package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/shared/runner"
	"outpost/shared/task"
)

// fakeAPI is the runner protocol in memory, with all its rules: each call that
// breaks one fails the test.
type fakeAPI struct {
	t      *testing.T
	server *httptest.Server
	claim  runner.ClaimResponse
	ticket string
	pinned string // before the test: another run's commit

	mu       sync.Mutex
	nonce    string
	cancel   bool
	spend    task.Spend        // as the last heartbeat told
	refuse   map[string]string // call → code of a 409
	lose     func(call string, n int) bool
	calls    map[string]int
	events   []task.Event
	batches  map[int64]string // first sequence number → the batch
	promised map[string]task.Artifact
	stored   map[string][]byte
	result   *task.Result
	onCall   func(call string)
}

func newFakeAPI(t *testing.T) *fakeAPI {
	a := &fakeAPI{t: t, ticket: "ticket-" + strings.Repeat("t", 20), refuse: map[string]string{}, calls: map[string]int{},
		batches: map[int64]string{}, promised: map[string]task.Artifact{}, stored: map[string][]byte{}}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	return a
}

func (a *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	call := strings.TrimPrefix(r.URL.Path, "/runner/v1/")
	if name, ok := strings.CutPrefix(r.URL.Path, "/store/"); ok {
		call = "put"
		r.Header.Set("X-Name", name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[call]++
	if a.onCall != nil {
		a.onCall(call)
	}
	if code, ok := a.refuse[call]; ok {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": code})
		return
	}
	answer := a.handle(call, r, body)
	if answer == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// The call has had its effect; only the answer is lost.
	if a.lose != nil && a.lose(call, a.calls[call]) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

var nonceShape = regexp.MustCompile(`^[0-9a-f]{32,64}$`)

func (a *fakeAPI) handle(call string, r *http.Request, body []byte) any {
	if call == "put" {
		name := r.Header.Get("X-Name")
		want, sum := a.promised[name], sha256.Sum256(body)
		if int64(len(body)) != want.Size || hex.EncodeToString(sum[:]) != want.SHA256 || r.Header.Get("X-Must") != name {
			a.t.Errorf("put %s: %d bytes or a header differ from what was promised", name, len(body))
		}
		a.stored[name] = body
		return runner.Empty{}
	}
	bearer := map[bool]string{true: a.ticket, false: a.claim.RunToken}[call == "claim"]
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		a.t.Errorf("%s came with %q", call, r.Header.Get("Authorization"))
	}
	switch call {
	case "claim":
		var in runner.ClaimRequest
		a.decode(body, &in)
		if in.Protocol != runner.Version || !nonceShape.MatchString(in.Nonce) || (a.nonce != "" && a.nonce != in.Nonce) {
			a.t.Errorf("claim: %+v after nonce %q", in, a.nonce)
		}
		a.nonce = in.Nonce
		return a.claim
	case "pin":
		var in runner.PinRequest
		a.decode(body, &in)
		if a.pinned == "" {
			a.pinned = in.Commit
		}
		return runner.PinResponse{Commit: a.pinned}
	case "heartbeat":
		var in runner.HeartbeatRequest
		a.decode(body, &in)
		a.spend = in.Spend
		return runner.HeartbeatResponse{Cancel: a.cancel}
	case "events":
		a.takeEvents(body)
		return runner.Empty{}
	case "uploads":
		var in runner.UploadsRequest
		a.decode(body, &in)
		var out runner.UploadsResponse
		for _, artifact := range in.Artifacts {
			a.promised[artifact.Name] = artifact
			out.Uploads = append(out.Uploads, runner.Upload{Name: artifact.Name, URL: a.server.URL + "/store/" + artifact.Name, Headers: map[string]string{"X-Must": artifact.Name}})
		}
		return out
	case "finish":
		var in runner.FinishRequest
		a.decode(body, &in)
		a.takeResult(in.Result)
		return runner.Empty{}
	}
	a.t.Errorf("unknown call %s", call)
	return nil
}

func (a *fakeAPI) decode(body []byte, into any) {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		a.t.Errorf("request: %v", err)
	}
}

func (a *fakeAPI) takeEvents(body []byte) {
	var in runner.EventsRequest
	a.decode(body, &in)
	if len(in.Events) == 0 || len(in.Events) > task.MaxEventBatch || len(body) > task.MaxEventBytes {
		a.t.Errorf("a batch of %d events, %d bytes", len(in.Events), len(body))
		return
	}
	if before, ok := a.batches[in.Events[0].Seq]; ok {
		if before != string(body) {
			a.t.Error("a batch was repeated with other events")
		}
		return
	}
	a.batches[in.Events[0].Seq] = string(body)
	for _, e := range in.Events {
		if want := task.EventSeq(a.claim.Attempt, int64(len(a.events))+1); e.Seq != want {
			a.t.Errorf("event %d came where %d was to", e.Seq, want)
		}
		if len(e.Text) > task.MaxEventText || !slices.Contains(task.EventKinds, e.Kind) {
			a.t.Errorf("event of kind %q with %d bytes", e.Kind, len(e.Text))
		}
		a.events = append(a.events, e)
	}
}

func (a *fakeAPI) takeResult(r task.Result) {
	if a.result != nil {
		return // a repeat
	}
	for _, artifact := range r.Artifacts {
		if _, ok := a.stored[artifact.Name]; !ok || a.promised[artifact.Name] != artifact {
			a.t.Errorf("the result names %s, which was not stored like that", artifact.Name)
		}
	}
	if r.Reason != "" && !r.Reason.Known() {
		a.t.Errorf("reason %q", r.Reason)
	}
	if len(r.Detail) > 300 || strings.Contains(r.Detail, "\n") {
		a.t.Errorf("detail %q", r.Detail)
	}
	a.result = &r
}

// count returns how often a call came.
func (a *fakeAPI) count(call string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[call]
}

// phases returns the phases that the events tell.
func (a *fakeAPI) phases() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, e := range a.events {
		if e.Kind == task.EventPhase {
			all = append(all, e.Text)
		}
	}
	return all
}

// all returns everything that left the worker, for a search for secrets.
func (a *fakeAPI) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out strings.Builder
	for _, e := range a.events {
		out.WriteString(e.Text + "\n")
	}
	for _, body := range a.stored {
		out.Write(body)
	}
	result, _ := json.Marshal(a.result)
	out.Write(result)
	return out.String()
}
