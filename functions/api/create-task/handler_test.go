package main

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
	"outpost/shared/topology"
)

// bell notes wakeups, or fails.
type bell struct {
	rung atomic.Int32
	err  error
}

func (b *bell) Wake(context.Context, string) error { b.rung.Add(1); return b.err }

type world struct {
	*apitest.World
	*apitest.Route
	bell *bell
}

func newWorld(t *testing.T, plan string) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, plan)
	w.SetSecrets(w.Caller)
	return on(t, w, w.Table)
}

func on(t *testing.T, w *apitest.World, store store) world {
	b := &bell{}
	h := handler{store: store, waker: b, clock: w.Clock, repositories: api.Repositories{Schemes: []string{"https"}}}
	return world{w, apitest.Serve(t, "POST", "/v1/tasks", h.handle), b}
}

func (w world) post(body string, header ...string) apitest.Answer {
	r := apitest.Request{Body: body, Header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = header[i+1]
	}
	return w.As(w.Caller, r)
}

func body(fields map[string]any) string {
	all := map[string]any{"repo": "https://example.com/acme/shop", "prompt": "Fix it.", "agents": []any{"claude"}}
	for k, v := range fields {
		all[k] = v
	}
	out, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestEveryFieldArrives(t *testing.T) {
	w := newWorld(t, "pro")
	var got api.Task
	a := w.post(body(map[string]any{"ref": "main", "setup": "npm ci", "verify": "npm test", "timeout_seconds": 600, "budget_usd": 2.5,
		"tags": []string{"cart", "ü"}, "priority": "high", "prompt": "Fix <it> & \"that\".\n",
		"agents": []any{"claude", map[string]any{"agent": "codex", "model": "gpt-5-mini"}, "claude"}}))
	a.Into(t, 202, &got)
	if a.Header["Location"] != "/v1/tasks/"+got.ID {
		t.Errorf("Location %q", a.Header["Location"])
	}
	kept, err := w.Task(t.Context(), w.Tenant, got.ID)
	w.Must(err)
	want := task.Spec{Repo: "https://example.com/acme/shop", Ref: "main", Setup: "npm ci", Verify: "npm test", Timeout: 10 * time.Minute,
		BudgetUSD: 2.5, Tags: []string{"cart", "ü"}, Priority: task.High}
	if !reflect.DeepEqual(kept.Spec, want) {
		t.Errorf("kept %+v, want %+v", kept.Spec, want)
	}
	prompt, err := w.Prompt(t.Context(), w.Tenant, got.ID)
	w.Must(err)
	if prompt != "Fix <it> & \"that\".\n" {
		t.Errorf("prompt %q", prompt)
	}
	if shown := api.ViewTask(kept, prompt); !reflect.DeepEqual(shown, got) {
		t.Errorf("answered %+v, kept %+v", got, shown)
	}
	var runs []string
	for _, r := range kept.Runs {
		runs = append(runs, r.Agent+" "+r.Model)
		if r.Timeout != want.Timeout || r.Priority != task.High {
			t.Errorf("run %d: %+v", r.Number, r)
		}
	}
	claude, _ := agent.Lookup("claude")
	if usual := "claude " + claude.DefaultModel; !slices.Equal(runs, []string{usual, "codex gpt-5-mini", usual}) {
		t.Errorf("runs %v", runs)
	}
	if w.bell.rung.Load() != 1 || w.Load().Waiting != 3 {
		t.Errorf("woke %d times, %d wait", w.bell.rung.Load(), w.Load().Waiting)
	}
	if trail := w.Audited("task.create"); len(trail) != 1 || trail[0].RequestID != a.Header["X-Request-Id"] || trail[0].Address != "198.51.100.7" {
		t.Errorf("trail %+v", trail)
	}
}

func TestAllIsEveryAgentOfThePlan(t *testing.T) {
	for plan, want := range map[string][]string{"free": {"claude"}, "pro": agent.Names()} {
		w := newWorld(t, plan)
		var got api.Task
		w.post(body(map[string]any{"agents": []any{"all"}})).Into(t, 202, &got)
		var names []string
		for _, r := range got.Runs {
			names = append(names, r.Agent)
		}
		if !slices.Equal(names, want) {
			t.Errorf("plan %s: %v", plan, names)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	pro, free := newWorld(t, "pro"), newWorld(t, "free")
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		w     world
		body  map[string]any
		code  problem.Code
		field string
		why   string
	}{
		{pro, map[string]any{"repo": "acme/shop"}, problem.ValidationFailed, "/repo", "no URL"},
		{pro, map[string]any{"repo": "http://example.com/a/b"}, problem.ValidationFailed, "/repo", "not encrypted"},
		{pro, map[string]any{"repo": "file:///etc"}, problem.ValidationFailed, "/repo", "our own disk"},
		{pro, map[string]any{"repo": "ext::sh -c id"}, problem.ValidationFailed, "/repo", "git would run it"},
		{pro, map[string]any{"repo": "--upload-pack=id"}, problem.ValidationFailed, "/repo", "a flag"},
		{pro, map[string]any{"repo": "https://me:pw@example.com/a/b"}, problem.ValidationFailed, "/repo", "a password"},
		{pro, map[string]any{"repo": "https://example.com"}, problem.ValidationFailed, "/repo", "no repository"},
		{pro, map[string]any{"repo": "https:///a/b"}, problem.ValidationFailed, "/repo", "no host"},
		{pro, map[string]any{"repo": "https://example.com/a/b?token=x"}, problem.ValidationFailed, "/repo", "a query"},
		{pro, map[string]any{"repo": "https://10.0.0.7/a/b"}, problem.ValidationFailed, "/repo", "a private address"},
		{pro, map[string]any{"repo": "https://[::ffff:169.254.169.254]/a/b"}, problem.ValidationFailed, "/repo", "an instance's metadata"},
		{pro, map[string]any{"repo": "https://2852039166/a/b"}, problem.ValidationFailed, "/repo", "an instance's metadata in one number"},
		{pro, map[string]any{"repo": "https://localhost:8443/a/b"}, problem.ValidationFailed, "/repo", "the function's own machine"},
		{pro, map[string]any{"repo": "https://example.com/" + long(2048)}, problem.ValidationFailed, "/repo", "too long"},
		{pro, map[string]any{"ref": "--force"}, problem.ValidationFailed, "/ref", "a flag"},
		{pro, map[string]any{"ref": "a b"}, problem.ValidationFailed, "/ref", "a space"},
		{pro, map[string]any{"prompt": " \n"}, problem.ValidationFailed, "/prompt", "blank"},
		{pro, map[string]any{"prompt": "a\x00b"}, problem.ValidationFailed, "/prompt", "NUL"},
		{pro, map[string]any{"prompt": strings.Repeat("ü", task.MaxPrompt/2+1)}, problem.ValidationFailed, "/prompt", "fewer characters than bytes"},
		{pro, map[string]any{"verify": strings.Repeat("ü", task.MaxCommand/2+1)}, problem.ValidationFailed, "/verify", "fewer characters than bytes"},
		{pro, map[string]any{"agents": []any{"clod"}}, problem.ValidationFailed, "/agents/0", "unknown"},
		{pro, map[string]any{"agents": []any{"claude", "all"}}, problem.ValidationFailed, "/agents/1", "all stands alone"},
		{pro, map[string]any{"agents": []any{map[string]any{"agent": "claude", "model": "gpt-5"}}}, problem.ValidationFailed, "/agents/0/model", "another provider's"},
		{pro, map[string]any{"agents": []any{map[string]any{"agent": "claude", "modle": "x"}}}, problem.ValidationFailed, "/agents/0/modle", "misspelt"},
		{pro, map[string]any{"agents": slices.Repeat([]any{"claude"}, 21)}, problem.ValidationFailed, "/agents", "too many"},
		{pro, map[string]any{"timeout_seconds": 901}, problem.PlanLimit, "/timeout_seconds", "more than pro has"},
		{free, map[string]any{"timeout_seconds": 301}, problem.PlanLimit, "/timeout_seconds", "more than free has"},
		{free, map[string]any{"agents": []any{"claude", "codex"}}, problem.PlanLimit, "/agents/1", "not in the plan"},
		{free, map[string]any{"agents": slices.Repeat([]any{"claude"}, 11)}, problem.PlanLimit, "/agents", "never possible in one day"},
		{pro, map[string]any{"budget_usd": 0}, problem.ValidationFailed, "/budget_usd", "nothing"},
		{pro, map[string]any{"budget_usd": json.Number("1e300")}, problem.ValidationFailed, "/budget_usd", "huge"},
		{pro, map[string]any{"timeout_seconds": json.Number("1e9")}, problem.ValidationFailed, "/timeout_seconds", "huge, and whole"},
		{pro, map[string]any{"tags": []any{long(65)}}, problem.ValidationFailed, "/tags/0", "too long"},
		{pro, map[string]any{"priority": "urgent"}, problem.ValidationFailed, "/priority", "unknown"},
		{pro, map[string]any{"context": "full"}, problem.ValidationFailed, "/context", "not there yet"},
		{pro, map[string]any{"tenant": "ten_x"}, problem.ValidationFailed, "/tenant", "never from the request"},
	} {
		t.Run(c.field+" "+c.why, func(t *testing.T) { c.w.post(body(c.body)).Refused(t, c.code, c.field) })
	}
	for _, w := range []world{pro, free} {
		if w.bell.rung.Load() != 0 || w.Load() != (tenant.Load{}) {
			t.Errorf("something refused left a trace: %+v", w.Load())
		}
	}
}

// What the operator set for the one tenant counts, and not what the plan says: the
// refusals say so too.
func TestOverridesAreJudgedBy(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	a := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w := on(t, a, a.Table)
	_, w.Caller = a.NewTenant(tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1, Overrides: tenant.Overrides{
		Agents: tenant.AgentsOf("codex", "gemini"), MaxTimeoutSeconds: 1200, RunsPerDay: 3}})
	w.Caller.Scopes = tenant.Scopes
	w.SetSecrets(w.Caller)
	refused := func(code problem.Code, field, detail string, fields map[string]any) {
		t.Helper()
		if p := w.post(body(fields)).Refused(t, code, field); p.Detail != detail {
			t.Errorf("%s", p.Detail)
		}
	}
	refused(problem.PlanLimit, "/agents/1", "Your tenant, on the plan free, may use codex, gemini.", map[string]any{"agents": []any{"codex", "claude"}})
	refused(problem.PlanLimit, "/timeout_seconds", "Your tenant, on the plan free, may set up to 1200 seconds.", map[string]any{"agents": []any{"codex"}, "timeout_seconds": 1201})
	refused(problem.PlanLimit, "/agents", "Your tenant, on the plan free, may start 3 runs a day.", map[string]any{"agents": []any{"codex", "codex", "codex", "codex"}})
	var got api.Task
	w.post(body(map[string]any{"agents": []any{"all"}, "timeout_seconds": 1200})).Into(t, 202, &got)
	if len(got.Runs) != 2 || got.Runs[0].Agent != "codex" || got.Runs[1].Agent != "gemini" || got.TimeoutSeconds != 1200 {
		t.Errorf("%+v", got)
	}
	refused(problem.QuotaExceeded, "", "Your tenant, on the plan free, may start 3 runs a day; 2 are used and this task wants 2.", map[string]any{"agents": []any{"all"}})
}

func TestFiftyEqualSubmissionsAtOnceMakeOneTask(t *testing.T) {
	w := newWorld(t, "pro")
	answers := make([]apitest.Answer, 50)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = w.post(body(nil), "Idempotency-Key", "once") })
	}
	group.Wait()
	ids, first := map[string]int{}, 0
	for _, a := range answers {
		if a.Status == 503 { // says that it may be tried again, and is
			a = w.post(body(nil), "Idempotency-Key", "once")
		}
		var got api.Task
		a.Into(t, 202, &got)
		ids[got.ID]++
		if a.Header["Idempotent-Replayed"] == "" {
			first++
		}
		if a.Header["Location"] != "/v1/tasks/"+got.ID {
			t.Errorf("Location %q", a.Header["Location"])
		}
	}
	if used, err := w.DayMeter(t.Context(), w.Tenant, w.Clock.Now()); err != nil || used != 1 || len(ids) != 1 || first != 1 || w.Load().Waiting != 1 {
		t.Errorf("%d tasks, %d first answers, %d on the meter, %+v, %v", len(ids), first, used, w.Load(), err)
	}
}

func TestTheSameKeyReplaysTheSameBytesAndRefusesAnotherBody(t *testing.T) {
	w := newWorld(t, "pro")
	one := w.post(`{"repo":"https://h/a/b","prompt":"p","agents":["claude"]}`, "Idempotency-Key", "k")
	two := w.post(`{ "agents":["claude"], "prompt":"p", "repo":"https://h/a/b" }`, "Idempotency-Key", "k")
	one.Into(t, 202, nil)
	two.Into(t, 202, nil)
	if string(one.Body) != string(two.Body) || two.Header["Idempotent-Replayed"] != "true" {
		t.Errorf("%s\n%s", one.Body, two.Body)
	}
	w.post(`{"repo":"https://h/a/b","prompt":"other","agents":["claude"]}`, "Idempotency-Key", "k").Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
	var other api.Task
	stranger := w.Stranger("pro")
	w.SetSecrets(stranger)
	w.As(stranger, apitest.Request{Body: body(nil), Header: map[string]string{"Idempotency-Key": "k"}}).Into(t, 202, &other)
	if strings.Contains(string(one.Body), other.ID) {
		t.Error("a key is shared between tenants")
	}
	for _, bad := range []string{"", "a b", "ü", strings.Repeat("k", 256)} {
		w.post(body(nil), "Idempotency-Key", bad).Refused(t, problem.InvalidParameter, "Idempotency-Key")
	}
}

func TestARefusalIsNotKeptUnderItsKey(t *testing.T) {
	w := newWorld(t, "pro")
	w.post(body(map[string]any{"repo": "nonsense"}), "Idempotency-Key", "k").Refused(t, problem.ValidationFailed, "/repo")
	w.post(body(nil), "Idempotency-Key", "k").Into(t, 202, nil)
}

func TestTheDayQuotaIsExactAndTellsWhenItResets(t *testing.T) {
	w := newWorld(t, "free")
	for range 9 {
		w.post(body(nil)).Into(t, 202, nil)
	}
	a := w.post(body(map[string]any{"agents": []any{"claude", "claude"}}))
	p := a.Refused(t, problem.QuotaExceeded, "")
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	if p.Quota == nil || p.Limit != 10 || p.Used != 9 || !p.ResetsAt.Equal(midnight) || !p.Retryable {
		t.Errorf("%s", a.Body)
	}
	for name, want := range map[string]string{"Retry-After": "43200",
		"RateLimit-Policy": `"runs-per-day";q=10;w=86400, "requests";q=600;w=60`, "RateLimit": `"runs-per-day";r=1;t=43200, "requests";r=599;t=60`} {
		if a.Header[name] != want {
			t.Errorf("%s: %s, want %s", name, a.Header[name], want)
		}
	}
	w.post(body(nil)).Into(t, 202, nil)
	w.Clock.Advance(12 * time.Hour)
	w.post(body(nil)).Into(t, 202, nil)
}

func TestWhoMayNotSubmit(t *testing.T) {
	w := newWorld(t, "pro")
	reader := w.Caller
	reader.Scopes = []string{"tasks:read"}
	w.As(reader, apitest.Request{Body: body(nil)}).Refused(t, problem.InsufficientScope, "")
	// The authorizer's cache still lets both of these through.
	w.Revoke(w.Caller)
	w.post(body(nil)).Refused(t, problem.Unauthorized, "")
	_, suspended := w.NewTenant(tenant.Entitlement{Plan: "pro", State: tenant.Suspended, Version: 1})
	suspended.Scopes = tenant.Scopes
	w.SetSecrets(suspended)
	w.As(suspended, apitest.Request{Body: body(nil)}).Refused(t, problem.TenantInactive, "")
	if w.bell.rung.Load() != 0 {
		t.Error("the scheduler was woken")
	}
}

func TestChangedLimitsAreJudgedAnew(t *testing.T) {
	w := newWorld(t, "pro")
	stale := w.Caller // as a cached authorizer saw it, when the plan was another
	stale.Entitlement = tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 0}
	w.As(stale, apitest.Request{Body: body(nil)}).Into(t, 202, nil)

	free := newWorld(t, "free")
	stale = free.Caller
	stale.Entitlement = tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 0}
	free.As(stale, apitest.Request{Body: body(map[string]any{"agents": []any{"codex"}})}).Refused(t, problem.PlanLimit, "/agents/0")

	w = newWorld(t, "pro")
	stale = w.Caller // whom the old plan would refuse
	stale.Entitlement = tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 0}
	for _, fields := range []map[string]any{{"agents": []any{"codex"}}, {"timeout_seconds": 900}, {"agents": slices.Repeat([]any{"claude"}, 11)}} {
		w.As(stale, apitest.Request{Body: body(fields)}).Into(t, 202, nil)
	}
	w.As(stale, apitest.Request{Body: body(map[string]any{"timeout_seconds": 901})}).Refused(t, problem.PlanLimit, "/timeout_seconds")
}

// shifting is a store whose limits change each time.
type shifting struct{ *table.Table }

func (shifting) Admit(context.Context, string, table.Admission) error { return table.ErrLimitsChanged }

func TestLimitsThatNeverStandStillAreBusy(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w.SetSecrets(w.Caller)
	a := on(t, w, shifting{w.Table}).post(body(nil))
	if p := a.Refused(t, problem.Busy, ""); !p.Retryable || a.Header["Retry-After"] != "1" {
		t.Errorf("%s %v", a.Body, a.Header)
	}
}

func TestALostWakeupLosesNoTask(t *testing.T) {
	w := newWorld(t, "pro")
	w.bell.err = errors.New("the queue is down")
	w.post(body(nil)).Into(t, 202, nil)
	if w.Load().Waiting != 1 {
		t.Errorf("%+v", w.Load())
	}
}

func TestASubmissionIsTwoReadsOneTransactionAndOneSend(t *testing.T) {
	c, count := clock.NewManual(settlementtest.Start), &enginetest.Counter{}
	name := enginetest.TableName(t, enginetest.Client(t, nil))
	w := apitest.New(t, table.New(enginetest.Client(t, nil), name, c), c, "pro")
	w.SetSecrets(w.Caller)
	sees := on(t, w, table.New(enginetest.Client(t, count), name, c))
	sees.post(body(map[string]any{"agents": []any{"all"}}), "Idempotency-Key", "k").Into(t, 202, nil)
	if count.Calls() != 3 || sees.bell.rung.Load() != 1 {
		t.Errorf("%d calls, %d sends", count.Calls(), sees.bell.rung.Load())
	}
}

func TestAnAgentWithoutItsKeyIsRefusedBeforeAnythingIsQueued(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	a := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w := on(t, a, a.Table)
	p := w.post(body(map[string]any{"agents": []any{"claude", "codex"}})).Refused(t, problem.MissingSecret, "/agents/1")
	if len(p.Errors) != 2 || !strings.Contains(p.Errors[0].Message, "ANTHROPIC_API_KEY") {
		t.Errorf("nothing is set: %+v", p)
	}
	w.post(body(map[string]any{"agents": []any{"all"}})).Refused(t, problem.MissingSecret, "/agents/0")
	w.SetSecrets(w.Caller, "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY")
	for _, agents := range [][]any{{"claude", "codex"}, {"aider"}, {"codex"}} { // aider's own model is OpenAI's
		w.post(body(map[string]any{"agents": agents})).Refused(t, problem.MissingSecret, "")
	}
	w.SetSecrets(w.Stranger("pro"))
	w.post(body(map[string]any{"agents": []any{"codex"}})).Refused(t, problem.MissingSecret, "/agents/0")
	// What was set before another store was chosen is missing too.
	apart := apitest.Serve(t, "POST", "/v1/tasks", handler{store: a.Table, waker: w.bell, clock: c, repositories: api.Repositories{Schemes: []string{"https"}}, keys: topology.InSecretsManager}.handle)
	apart.As(w.Caller, apitest.Request{Body: body(map[string]any{"agents": []any{"claude"}})}).Refused(t, problem.MissingSecret, "/agents/0")
	if s, err := w.Standing(t.Context(), w.Tenant); err != nil || s.Load.Waiting != 0 {
		t.Errorf("something waits: %+v, %v", s.Load, err)
	}
	var got api.Task
	for _, agents := range [][]any{{"claude"}, {"all"}, {map[string]any{"agent": "aider", "model": "deepseek-chat"}}} {
		if w.post(body(map[string]any{"agents": agents})).Into(t, 202, &got); len(got.Runs) != 1 {
			t.Errorf("%v makes %+v", agents, got.Runs)
		}
	}
}

func TestWhatWasAcceptedIsAnsweredSoAgainWhateverHasChanged(t *testing.T) {
	w := newWorld(t, "pro")
	text := body(map[string]any{"agents": []any{"codex"}})
	first := w.post(text, "Idempotency-Key", "once")
	first.Into(t, 202, nil)
	now := w.Clock.Now()
	w.Must(w.DeleteSecret(t.Context(), w.Tenant, "OPENAI_API_KEY", table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
	if again := w.post(text, "Idempotency-Key", "once"); again.Status != 202 || again.Header["Idempotent-Replayed"] != "true" || string(again.Body) != string(first.Body) {
		t.Errorf("answered %d %s", again.Status, again.Body)
	}
	w.post(text, "Idempotency-Key", "another").Refused(t, problem.MissingSecret, "/agents/0")
	w.Clock.Advance(25 * time.Hour)
	w.post(text, "Idempotency-Key", "once").Refused(t, problem.MissingSecret, "/agents/0")
}
