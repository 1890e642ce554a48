package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/secret"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

// safe holds opened secrets, and can fail. The real vault has a test of its own
// below.
type safe struct {
	values map[string]string // by tenant and name
	host   string
	err    error
}

func (s *safe) Open(_ context.Context, tenantID, name string) (value, host string, err error) {
	if s.err != nil {
		return "", "", s.err
	}
	value, ok := s.values[tenantID+" "+name]
	if !ok {
		return "", "", secret.ErrNotSet
	}
	if name == secret.GitToken {
		host = s.host
	}
	return value, host, nil
}

// sealed is a vault under a real key, on the world's table.
func sealed(w world) *secret.Vault {
	w.T.Helper()
	const arn = "arn:aws:kms:us-east-1:000000000000:key/k"
	s, err := kms.Open(arn, w.T.TempDir())
	w.Must(err)
	return secret.NewVault(awskms.NewFromConfig(sdktest.Config(w.T, s.Handler())), arn, w.Table)
}

const nonce = "0123456789abcdef0123456789abcdef"

type world struct {
	*apitest.World
	*apitest.Route
	safe   *safe
	signer *token.Signer
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	signer, err := token.NewSigner([]byte(strings.Repeat("p", 32)))
	w.Must(err)
	s := &safe{values: map[string]string{}}
	h := handler{store: w.Table, vault: s, signer: signer, clock: c, timing: task.DefaultTiming, schemes: []string{"https"},
		private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, providerURLs: map[string]string{"openai": "http://127.0.0.1:1"}}
	return world{w, apitest.Serve(t, "POST", "/runner/v1/claim", h.handle), s, signer}
}

// launched is a run whose first attempt waits to be claimed.
func (w world) launched(spec task.Spec, agents ...string) task.Run {
	w.T.Helper()
	now := w.Clock.Now()
	spec.Timeout, spec.Priority = 5*time.Minute, task.Normal
	tk := task.Task{ID: id.New(id.Task, now), Tenant: w.Tenant, State: task.Queued, CreatedAt: now, Spec: spec, Tally: task.Tally{Total: len(agents), Remaining: len(agents)}}
	for i, name := range agents {
		a, _ := agent.Lookup(name)
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, i+1), Task: tk.ID, Tenant: w.Tenant, Number: i + 1, Agent: name, Model: a.DefaultModel,
			Priority: task.Normal, Timeout: spec.Timeout, State: task.Queued, CreatedAt: now})
	}
	w.Must(w.Admit(w.T.Context(), w.Tenant, table.Admission{Caller: w.Caller, Task: tk, Prompt: "fix it", RunsPerDay: plan.Unlimited, Audit: audit.Event{ID: id.New(id.Audit, now), At: now}}))
	r := w.StartNext()
	r, err := w.BeginAttempt(w.T.Context(), w.Tenant, r.ID, r.Starts, "token", true, time.Minute, now.Add(time.Minute))
	w.Must(err)
	return r
}

func (w world) claim(r task.Run, nonce string) apitest.Answer {
	w.T.Helper()
	return w.AsWorker(token.Claims{Kind: token.Ticket, Tenant: w.Tenant, Run: r.ID, Attempt: r.Attempt.Number},
		apitest.Request{Body: fmt.Sprintf(`{"protocol":%d,"nonce":%q}`, runner.Version, nonce)})
}

func TestAClaimIsInTheTrailOnce(t *testing.T) {
	w := newWorld(t)
	r := w.launched(task.Spec{Repo: "https://github.com/acme/shop"}, "codex")
	first := w.claim(r, nonce)
	w.claim(r, nonce)                           // its answer was lost
	w.claim(r, strings.Repeat("f", len(nonce))) // another worker
	trail := w.Audited("run.claim")
	want := audit.Change{Field: "state", Before: "starting", After: "running"}
	if len(trail) != 1 || trail[0].Actor != api.Worker || trail[0].Target != r.ID || trail[0].Detail != "attempt 1" || trail[0].Address != "198.51.100.7" ||
		trail[0].RequestID != first.Header["X-Request-Id"] || len(trail[0].Changes) != 1 || trail[0].Changes[0] != want {
		t.Errorf("the trail: %+v", trail)
	}
}

func TestAClaimHandsOutEverythingOneWorkerNeeds(t *testing.T) {
	w := newWorld(t)
	w.safe.values[w.Tenant+" OPENAI_API_KEY"], w.safe.values[w.Tenant+" ANTHROPIC_API_KEY"] = "its key", "another key"
	w.safe.values[w.Tenant+" GIT_TOKEN"], w.safe.host = "its token", "GitHub.com"
	r := w.launched(task.Spec{Repo: "https://github.com/acme/shop", Ref: "main", Setup: "make", Verify: "make test", BudgetUSD: 3}, "codex", "claude", "claude")
	var got runner.ClaimResponse
	a := w.claim(r, nonce)
	a.Into(t, 200, &got)
	codex, _ := agent.Lookup("codex")
	deadline := w.Clock.Now().Add(5 * time.Minute)
	want := runner.ClaimResponse{RunToken: got.RunToken, TokenExpiresAt: deadline.Add(task.DefaultTiming.UploadGrace), Run: r.ID, Task: r.Task, Attempt: 1,
		Agent: "codex", Model: codex.DefaultModel, Prompt: "fix it", Setup: "make", Verify: "make test", Deadline: deadline, BudgetUSD: 1,
		Checkout: runner.Checkout{Repo: "https://github.com/acme/shop", Ref: "main", Schemes: []string{"https"}, PrivateAddresses: []string{"127.0.0.0/8"}, GitHost: "github.com", GitToken: "its token"},
		Provider: runner.Provider{Name: "openai", BaseURL: "http://127.0.0.1:1", KeyName: "OPENAI_API_KEY", Key: "its key"}, HeartbeatEverySeconds: 20}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if strings.Contains(string(a.Body), "another key") {
		t.Error("a key that this agent does not need is handed out")
	}
	c, err := w.signer.Verify(token.Run, got.RunToken, w.Clock.Now())
	if err != nil || c.Tenant != w.Tenant || c.Run != r.ID || c.Attempt != 1 || c.Nonce != nonce || c.Expires != want.TokenExpiresAt.Unix() {
		t.Errorf("the run token: %+v, %v", c, err)
	}
}

func TestTheNextAttemptLearnsWhatWasSpentBefore(t *testing.T) {
	w, usd := newWorld(t), 0.75
	r := w.launched(task.Spec{Repo: "https://github.com/acme/shop", BudgetUSD: 3}, "codex")
	w.claim(r, nonce).Into(t, 200, nil)
	_, err := w.Heartbeat(t.Context(), w.Tenant, r.ID, 1, nonce, task.Spend{Usage: agent.Usage{InputTokens: 1}, CostUSD: &usd}, w.Clock.Now().Add(time.Minute))
	w.Must(err)
	r, err = w.EndAttempt(t.Context(), w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: w.Clock.Now()})
	w.Must(err)
	_, err = w.Settle(t.Context(), w.Tenant, table.Settlement{Run: r, Decision: task.Decide(r, w.Clock.Now(), task.DefaultTiming), Now: w.Clock.Now()})
	w.Must(err)
	r, err = w.BeginAttempt(t.Context(), w.Tenant, r.ID, 1, "token", true, time.Minute, w.Clock.Now().Add(time.Minute))
	w.Must(err)
	var got runner.ClaimResponse
	w.claim(r, nonce).Into(t, 200, &got)
	if got.Attempt != 2 || got.BudgetUSD != 3 || got.SpentUSD != 0.75 {
		t.Errorf("attempt %d has %v of %v USD behind it", got.Attempt, got.SpentUSD, got.BudgetUSD)
	}
}

func TestALostAnswerIsGivenAgainAndAnotherWorkerIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.launched(task.Spec{Repo: "https://h/a/b"}, "claude")
	first := w.claim(r, nonce)
	w.Clock.Advance(10 * time.Second)
	again := w.claim(r, nonce)
	if first.Status != 200 || string(first.Body) != string(again.Body) {
		t.Errorf("%s\n%s", first.Body, again.Body)
	}
	w.claim(r, strings.Repeat("f", 32)).Refused(t, problem.TicketBound, "")
}

func TestWhatEndsAWorkerQuietly(t *testing.T) {
	w := newWorld(t)
	cancelled := w.launched(task.Spec{Repo: "https://h/a/b"}, "claude")
	_, err := w.RequestCancel(t.Context(), w.Tenant, cancelled.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}})
	w.Must(err)
	w.claim(cancelled, nonce).Refused(t, problem.RunCancelled, "")

	over := w.launched(task.Spec{Repo: "https://h/a/b"}, "claude")
	_, err = w.EndAttempt(t.Context(), w.Tenant, over.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: w.Clock.Now()})
	w.Must(err)
	w.claim(over, nonce).Refused(t, problem.AttemptSuperseded, "")

	over.Attempt.Number = 7
	w.claim(over, nonce).Refused(t, problem.AttemptSuperseded, "")
	over.ID = id.ForRun(id.New(id.Task, w.Clock.Now()), 1)
	w.claim(over, nonce).Refused(t, problem.AttemptSuperseded, "")
}

func TestASecretThatIsNotSetIsEmptyAndOneThatCannotBeOpenedIsAnError(t *testing.T) {
	w := newWorld(t)
	r := w.launched(task.Spec{Repo: "https://h/a/b"}, "claude")
	var got runner.ClaimResponse
	w.claim(r, nonce).Into(t, 200, &got)
	if got.Provider.Key != "" || got.Provider.KeyName != "ANTHROPIC_API_KEY" || got.Checkout.GitToken != "" || got.Checkout.GitHost != "" {
		t.Errorf("%+v", got)
	}
	w.safe.err = errors.New("KMS is down")
	w.claim(r, nonce).Refused(t, problem.Internal, "")
	w.safe.err = nil // and the same worker may ask again
	w.claim(r, nonce).Into(t, 200, nil)
}

func TestWhatATenantSealedOpensForItsOwnRunsAlone(t *testing.T) {
	by := table.By{Audit: audit.Event{ID: id.New(id.Audit, settlementtest.Start), At: settlementtest.Start}}
	w := newWorld(t)
	v := sealed(w)
	h := handler{store: w.Table, vault: v, signer: w.signer, clock: w.Clock, timing: task.DefaultTiming, schemes: []string{"https"}}
	w.Route = apitest.Serve(t, "POST", "/runner/v1/claim", h.handle)
	claimed := func() (got runner.ClaimResponse) {
		w.claim(w.launched(task.Spec{Repo: "https://github.com/a/b"}, "claude"), nonce).Into(t, 200, &got)
		return got
	}
	w.Must(v.Put(t.Context(), w.Stranger("pro").Tenant, "ANTHROPIC_API_KEY", "a stranger's key", "", by))
	w.Must(v.Put(t.Context(), w.Tenant, secret.GitToken, "its token", "github.com", by))
	if got := claimed(); got.Provider.Key != "" || got.Checkout.GitToken != "its token" {
		t.Errorf("before its key is set: %+v, %+v", got.Provider, got.Checkout)
	}
	w.Must(v.Put(t.Context(), w.Tenant, "ANTHROPIC_API_KEY", "its key", "", by))
	if got := claimed(); got.Provider.Key != "its key" {
		t.Errorf("%+v", got.Provider)
	}
}

func TestTheGitTokenGoesToItsHostAlone(t *testing.T) {
	w := newWorld(t)
	w.safe.values[w.Tenant+" GIT_TOKEN"], w.safe.host = "its token", "github.com"
	for _, repo := range []string{"https://example.com/a/b", "https://github.com.evil.example/a/b", "https://github.com:8443/a/b", "https://evil.example/github.com/a", "file:///srv/a"} {
		r := w.launched(task.Spec{Repo: repo}, "claude")
		if a := w.claim(r, nonce); a.Status != 200 || strings.Contains(string(a.Body), "its token") {
			t.Errorf("%s: %d %s", repo, a.Status, a.Body)
		}
	}
}

func TestOtherProtocolsAreRefusedBeforeAnythingIsBound(t *testing.T) {
	w := newWorld(t)
	r := w.launched(task.Spec{Repo: "https://h/a/b"}, "claude")
	w.AsWorker(token.Claims{Kind: token.Ticket, Tenant: w.Tenant, Run: r.ID, Attempt: 1},
		apitest.Request{Body: fmt.Sprintf(`{"protocol":%d,"nonce":%q}`, runner.Version+1, nonce)}).Refused(t, problem.ProtocolUnsupported, "")
	if now := w.Read(r.ID); now.Attempt.Nonce != "" || now.State != task.Starting {
		t.Errorf("%+v", now)
	}
}
