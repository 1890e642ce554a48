// Package apitest is an Outpost in memory for the client's tests. It plays the
// life of a task without doing any work, and holds every request and every
// answer against the API's contract: a client or a test that strays from it
// fails.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/shared/apikey"
	"outpost/shared/contract"
	"outpost/shared/id"
)

// Run says how a run ends.
type Run struct {
	State  string // succeeded when empty
	Reason string // code; with Detail
	Detail string
	Verify string // none when empty
	Patch  string // served as it stands
}

// Event is an event of the run of that number.
type Event struct {
	Run  int
	Kind string
	Text string
}

// Request is what the client asked.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         map[string]any
}

// Script says what an API plays.
type Script struct {
	// Looks is how often a task is seen running before it is completed.
	Looks int
	// Runs are the ends of the runs, by order; a missing one succeeds.
	Runs   []Run
	Events []Event
	// Refuse, when set, may answer a request in place of the API: it returns
	// whether it did. Its answers are not held against the contract.
	Refuse func(w http.ResponseWriter, r *http.Request) bool
	// Cut, when set, may cut the answer to a request off after the API did its work.
	Cut func(r *http.Request) bool
	// Place is a task's in the queue, and when it may start; 0: nothing waits.
	Place      int
	MayStartAt time.Time
	// Tenants are there from the start, oldest first, as the API shows them.
	Tenants []map[string]any
	// Audit are the events of the trail, newest first, as the API shows them.
	Audit []map[string]any
	// Exports are the exported trail, the oldest first. Their URLs lead to files.
	Exports []map[string]any
	Head    map[string]any // nil: of the last of Exports
}

// API is the Outpost.
type API struct {
	URL string
	Key string
	Script

	t        testing.TB
	mu       sync.Mutex
	requests []Request
	tasks    []map[string]any // newest last
	looks    map[string]int
	byKey    map[string]map[string]any
	set      map[string]string // secrets: value and host
	keys     []map[string]any  // newest last
}

// Start serves an API until the test ends.
func Start(t testing.TB, script Script) *API {
	t.Helper()
	key, err := apikey.New(apikey.Test)
	if err != nil {
		t.Fatal(err)
	}
	a := &API{t: t, Key: key, Script: script, looks: map[string]int{}, byKey: map[string]map[string]any{}, set: map[string]string{}}
	mux := http.NewServeMux()
	routes := map[string]func(*http.Request, map[string]any) (int, any){
		"POST /v1/tasks":             a.create,
		"GET /v1/tasks":              a.list,
		"GET /v1/tasks/{id}":         a.task,
		"GET /v1/tasks/{id}/events":  a.taskEvents,
		"POST /v1/tasks/{id}/cancel": a.cancel,
		"GET /v1/runs/{id}":          a.run,
		"GET /v1/runs/{id}/events":   a.runEvents,
		"GET /v1/runs/{id}/patch":    a.patch,
		"POST /v1/runs/{id}/cancel":  a.cancelRun,
		"GET /v1/agents":             a.agents,
		"GET /v1/secrets":            a.secrets,
		"PUT /v1/secrets/{name}":     a.putSecret,
		"DELETE /v1/secrets/{name}":  a.deleteSecret,
		"GET /v1/keys":               a.listKeys,
		"POST /v1/keys":              a.createKey,
		"POST /v1/keys/{id}/rotate":  a.rotateKey,
		"DELETE /v1/keys/{id}":       a.revokeKey,
		"POST /v1/tenants":           a.createTenant,
		"GET /v1/tenants":            a.listTenants,
		"GET /v1/tenants/{id}":       a.tenant,
		"PATCH /v1/tenants/{id}":     a.changeTenant,
		"DELETE /v1/tenants/{id}":    a.closeTenant,
	}
	routes["POST /v1/secrets/{name}/check"] = a.checkSecret
	routes["GET /v1/audit"], routes["GET /v1/tenants/{id}/audit-exports"] = a.audit, a.auditExports
	for _, route := range examples {
		routes[route] = a.example(route)
	}
	for route, h := range routes {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, route, h) })
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	a.URL = s.URL
	return a
}

// Requests returns what was asked so far.
func (a *API) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request(nil), a.requests...)
}

// serve checks a request, answers it and checks the answer.
func (a *API) serve(w http.ResponseWriter, r *http.Request, route string, h func(*http.Request, map[string]any) (int, any)) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var body map[string]any
	if len(text) > 0 {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&body); err != nil {
			a.t.Errorf("%s: the body is no JSON object: %v", route, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, Request{r.Method, r.URL.Path, r.Header.Clone(), body})
	method, path, _ := strings.Cut(route, " ")
	op, err := contract.Load(method, path)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.checkRequest(op, r, body)
	if a.Refuse != nil && a.Refuse(w, r) {
		return
	}
	status, answer := http.StatusForbidden, any(map[string]any{"message": "Forbidden"})
	if r.Header.Get("Authorization") == "Bearer "+a.Key {
		status, answer = h(r, body)
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	if patch, ok := answer.([]byte); ok {
		w.Header().Set("Content-Type", "text/x-diff")
		_, _ = w.Write(patch)
		return
	}
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		a.t.Error(err)
	}
	var decoded any
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.UseNumber()
	if err := d.Decode(&decoded); err != nil {
		a.t.Error(err)
	}
	if status != http.StatusForbidden {
		if err := op.CheckAnswer(status, kind, decoded); err != nil {
			a.t.Error(err)
		}
	}
	w.Header().Set("Content-Type", kind)
	if a.Cut != nil && a.Cut(r) {
		panic(http.ErrAbortHandler) // it is done, and nobody learns of it
	}
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
}

func (a *API) checkRequest(op *contract.Operation, r *http.Request, body map[string]any) {
	known := map[string]bool{}
	for _, p := range op.Parameters {
		value := r.PathValue(p.Name)
		switch p.In {
		case "query":
			known[p.Name] = true
			value = r.URL.Query().Get(p.Name)
		case "header":
			value = r.Header.Get(p.Name)
		}
		if value == "" {
			continue
		}
		if why := p.Check(value); why != "" {
			a.t.Errorf("%s: %s %s: %q", op.ID, p.Name, why, value)
		}
	}
	for name := range r.URL.Query() {
		if !known[name] {
			a.t.Errorf("%s has no parameter %s", op.ID, name)
		}
	}
	if body != nil {
		for _, f := range op.CheckBody(body) {
			a.t.Logf("%s: the body is refused: %s %s", op.ID, f.Field, f.Message)
		}
	}
}

// problem is a refusal.
func problem(status int, code, detail string, fields ...map[string]any) (int, any) {
	p := map[string]any{"type": "/docs#problem-" + code, "title": "Refused.", "status": status, "detail": detail, "code": code,
		"request_id": "req-1", "retryable": status >= 500}
	if len(fields) > 0 {
		p["errors"] = fields
	}
	return status, p
}

const at = "2026-11-23T10:00:04Z"

func (a *API) create(r *http.Request, body map[string]any) (int, any) {
	op, err := contract.Load("POST", "/v1/tasks")
	if err != nil {
		a.t.Error(err)
	}
	if fields := op.CheckBody(body); len(fields) > 0 {
		return problem(422, "validation_failed", "The task is not valid.", map[string]any{"field": fields[0].Field, "message": fields[0].Message})
	}
	key := r.Header.Get("Idempotency-Key")
	if done := a.byKey[key]; done != nil && key != "" {
		return 202, done
	}
	taskID := id.New(id.Task, time.Now())
	var runs []any
	for _, entry := range body["agents"].([]any) {
		agent, model := entry, any("default-model")
		if m, ok := entry.(map[string]any); ok {
			agent, model = m["agent"], m["model"]
		}
		names := []any{agent}
		if agent == "all" {
			names = []any{"claude", "codex", "gemini"}
		}
		for _, name := range names {
			runs = append(runs, map[string]any{
				"id": id.ForRun(taskID, len(runs)+1), "task": taskID, "number": len(runs) + 1, "agent": name, "model": model, "state": "queued",
				"reason": nil, "attempt": 0, "created_at": at, "started_at": nil, "finished_at": nil, "duration_seconds": nil,
				"cancel_requested_at": nil, "patch": nil, "usage": nil, "verify": nil, "isolation": nil, "rank": nil,
			})
		}
	}
	t := map[string]any{
		"id": taskID, "state": "queued", "outcome": nil, "repo": body["repo"], "ref": body["ref"], "commit": nil, "prompt": body["prompt"],
		"setup": body["setup"], "verify": body["verify"], "timeout_seconds": 300, "budget_usd": body["budget_usd"], "tags": []any{},
		"priority": "normal", "created_at": at, "started_at": nil, "finished_at": nil, "runs": runs, "best_run": nil,
		"run_counts": map[string]any{"total": len(runs), "remaining": len(runs), "succeeded": 0, "cancelled": 0},
	}
	if tags, ok := body["tags"]; ok {
		t["tags"] = tags
	}
	a.tasks = append(a.tasks, t)
	a.byKey[key] = t
	return 202, t
}

// find returns the task or run of a request, and for a run its task.
func (a *API) find(r *http.Request) (t, run map[string]any) {
	for _, t := range a.tasks {
		if t["id"] == r.PathValue("id") {
			return t, nil
		}
		for _, run := range t["runs"].([]any) {
			if m := run.(map[string]any); m["id"] == r.PathValue("id") {
				return t, m
			}
		}
	}
	return nil, nil
}

func notFound() (int, any) { return problem(404, "not_found", "There is nothing with this id.") }

// task moves the task's life one look on.
func (a *API) task(r *http.Request, _ map[string]any) (int, any) {
	t, _ := a.find(r)
	if t == nil {
		return notFound()
	}
	taskID := t["id"].(string)
	a.looks[taskID]++
	switch {
	case t["state"] == "completed":
	case a.Place > 0:
	case a.looks[taskID] > a.Looks:
		a.complete(t)
	default:
		t["state"], t["started_at"] = "running", at
		for _, run := range t["runs"].([]any) {
			run.(map[string]any)["state"] = "running"
			run.(map[string]any)["started_at"] = at
			run.(map[string]any)["attempt"] = 1
		}
	}
	if r.URL.Query().Get("include") != "queue" {
		return 200, t
	}
	queue := map[string]any{"position": nil, "estimated_start_at": nil}
	if a.Place > 0 {
		queue = map[string]any{"position": a.Place, "estimated_start_at": a.MayStartAt.Format(time.RFC3339)}
	}
	return 200, with(t, map[string]any{"queue": queue})
}

func (a *API) complete(t map[string]any) {
	succeeded, cancelled := 0, 0
	for i, entry := range t["runs"].([]any) {
		run, end := entry.(map[string]any), a.end(i)
		run["state"], run["finished_at"], run["duration_seconds"] = end.State, at, 1.5
		run["usage"] = map[string]any{"input_tokens": 1234, "cached_input_tokens": 0, "output_tokens": 56, "cost_usd": 0.0123}
		switch end.State {
		case "succeeded":
			succeeded++
			run["rank"] = succeeded
			run["patch"] = map[string]any{"files": 1, "additions": 3, "deletions": 1, "bytes": len(end.Patch)}
			run["verify"] = map[string]any{"state": end.Verify, "exit_code": nil}
			if t["best_run"] == nil {
				t["best_run"] = run["id"]
			}
		case "cancelled":
			cancelled++
			fallthrough
		default:
			run["reason"] = map[string]any{"code": end.Reason, "detail": end.Detail}
		}
	}
	total := len(t["runs"].([]any))
	t["state"], t["outcome"], t["finished_at"] = "completed", "failed", at
	switch {
	case succeeded > 0:
		t["outcome"] = "succeeded"
	case cancelled == total:
		t["outcome"] = "cancelled"
	}
	t["run_counts"] = map[string]any{"total": total, "remaining": 0, "succeeded": succeeded, "cancelled": cancelled}
}

func (a *API) end(i int) Run {
	end := Run{}
	if i < len(a.Runs) {
		end = a.Runs[i]
	}
	if end.State == "" {
		end.State = "succeeded"
	}
	if end.Verify == "" {
		end.Verify = "none"
	}
	return end
}

func (a *API) list(r *http.Request, _ map[string]any) (int, any) {
	limit := 20
	_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
	skip := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &skip)
	limit = min(limit, 2) // a short page is legal, and clients must go on
	page := []any{}
	for i := len(a.tasks) - 1 - skip; i >= 0 && len(page) < limit; i-- {
		summary := map[string]any{}
		for k, v := range a.tasks[i] {
			if k != "prompt" && k != "runs" && k != "best_run" {
				summary[k] = v
			}
		}
		page = append(page, summary)
	}
	answer := map[string]any{"data": page, "next_cursor": nil, "has_more": false}
	if next := skip + len(page); next < len(a.tasks) {
		answer["next_cursor"], answer["has_more"] = fmt.Sprint(next), true
	}
	return 200, answer
}

func (a *API) run(r *http.Request, _ map[string]any) (int, any) {
	if _, run := a.find(r); run != nil {
		return 200, run
	}
	return notFound()
}

func (a *API) taskEvents(r *http.Request, _ map[string]any) (int, any) {
	t, _ := a.find(r)
	if t == nil {
		return notFound()
	}
	return a.events(r, t, "state", func(e Event) (map[string]any, bool) {
		runs := t["runs"].([]any)
		if e.Run > len(runs) {
			return nil, false
		}
		return map[string]any{"run": runs[e.Run-1].(map[string]any)["id"]}, true
	})
}

func (a *API) runEvents(r *http.Request, _ map[string]any) (int, any) {
	t, run := a.find(r)
	if run == nil {
		return notFound()
	}
	if r.URL.Query().Get("wait") != "" { // whoever waits sees the end
		a.complete(t)
	}
	return a.events(r, run, "state", func(e Event) (map[string]any, bool) { return map[string]any{}, e.Run == run["number"] })
}

// events pages through the events two at a time.
func (a *API) events(r *http.Request, of map[string]any, state string, pick func(Event) (map[string]any, bool)) (int, any) {
	after := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("after"), &after)
	data, next := []any{}, after
	for i := after; i < len(a.Events) && len(data) < 2; i++ {
		next = i + 1
		if e, ok := pick(a.Events[i]); ok {
			e["seq"], e["at"], e["kind"], e["text"] = i+1, at, a.Events[i].Kind, a.Events[i].Text
			data = append(data, e)
		}
	}
	return 200, map[string]any{"data": data, "next_cursor": fmt.Sprint(next), "has_more": next < len(a.Events), "state": of[state]}
}

func (a *API) patch(r *http.Request, _ map[string]any) (int, any) {
	_, run := a.find(r)
	if run == nil {
		return notFound()
	}
	end := a.end(run["number"].(int) - 1)
	if run["state"] != "succeeded" {
		return problem(404, "no_patch", "The run has no patch.")
	}
	return 200, []byte(end.Patch)
}

func (a *API) cancel(r *http.Request, _ map[string]any) (int, any) {
	t, _ := a.find(r)
	if t == nil {
		return notFound()
	}
	for _, run := range t["runs"].([]any) {
		run.(map[string]any)["cancel_requested_at"] = at
	}
	return 202, t
}

func (a *API) cancelRun(r *http.Request, _ map[string]any) (int, any) {
	_, run := a.find(r)
	if run == nil {
		return notFound()
	}
	run["cancel_requested_at"] = at
	return 202, run
}

func (a *API) secrets(*http.Request, map[string]any) (int, any) {
	data := []any{}
	for _, name := range slices.Sorted(maps.Keys(a.set)) {
		data = append(data, map[string]any{"name": name, "display": "…last", "host": nil, "set_at": "2026-11-23T12:00:00Z", "agents": []any{"claude"}})
	}
	return 200, map[string]any{"next_cursor": nil, "has_more": false, "data": data}
}

func (a *API) putSecret(r *http.Request, body map[string]any) (int, any) {
	a.set[r.PathValue("name")] = fmt.Sprint(body["value"], " ", body["host"])
	return 204, nil
}

func (a *API) deleteSecret(r *http.Request, _ map[string]any) (int, any) {
	if _, ok := a.set[r.PathValue("name")]; !ok {
		return notFound()
	}
	delete(a.set, r.PathValue("name"))
	return 204, nil
}

// checkSecret finds in a secret's value the state that it has.
func (a *API) checkSecret(r *http.Request, body map[string]any) (int, any) {
	name := r.PathValue("name")
	value, ok := a.set[name]
	if !ok {
		return notFound()
	}
	state, _, _ := strings.Cut(value, " ")
	return 200, map[string]any{"name": name, "state": state, "detail": "It said so.", "set_at": "2026-11-23T12:00:00Z", "checked_at": "2026-11-23T12:00:05Z"}
}

func (a *API) agents(*http.Request, map[string]any) (int, any) {
	return 200, map[string]any{"next_cursor": nil, "has_more": false, "data": []any{map[string]any{
		"name": "claude", "title": "Claude Code", "default_model": "claude-x", "models": []any{"claude-"}, "secrets": []any{"ANTHROPIC_API_KEY"}}}}
}
