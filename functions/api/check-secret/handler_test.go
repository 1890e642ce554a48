package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/kms"
	"outpost/infra/local/provider"
	"outpost/infra/local/sdktest"
	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/egress"
	"outpost/shared/egress/egresstest"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/secret"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

const arn = "arn:aws:kms:us-east-1:000000000000:key/k"

// world is a tenant with a real vault, and the scripted provider. Whatever it is
// answered is searched for its secrets, and so is the log.
type world struct {
	*apitest.World
	*apitest.Route
	t       *testing.T
	vault   *secret.Vault
	handler *handler
	set     []string
	log     *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(settlementtest.Start)
	w := &world{World: apitest.New(t, enginetest.Table(t, c), c, "pro"), t: t, log: &bytes.Buffer{}}
	keys, err := kms.Open(arn, t.TempDir())
	w.Must(err)
	w.vault = secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, keys.Handler())), arn, w.Table)
	w.handler = &handler{store: w.Table, vault: w.vault, clock: c, providerURLs: map[string]string{}, patience: 10 * time.Second,
		repositories: api.Repositories{Schemes: []string{"https", "http", "file"}, Reach: egress.Policy{Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}}
	w.Route = apitest.Serve(t, "POST", "/v1/secrets/{name}/check", func(ctx context.Context, r *api.Request) (api.Response, error) { return w.handler.handle(ctx, r) })
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(w.log, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		for _, s := range w.set {
			if strings.Contains(w.log.String(), s) {
				t.Errorf("the log holds %s", s)
			}
		}
		w.TrailHides(w.Tenant, w.set...)
	})
	return w
}

func (w *world) put(name, value, host string) {
	w.t.Helper()
	now := w.Clock.Now()
	w.set = append(w.set, value)
	w.Must(w.vault.Put(w.t.Context(), w.Tenant, name, value, host, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "secret.put", Actor: "test"}}))
}

// ask asks for a check that is answered.
func (w *world) ask(name, body string) (got answer) {
	w.t.Helper()
	a := w.As(w.Caller, apitest.Request{ID: name, Body: body})
	a.Into(w.t, 200, &got)
	for _, s := range w.set {
		if strings.Contains(string(a.Body), s) || len(s) > 20 && strings.Contains(string(a.Body), s[:20]) {
			w.t.Errorf("the answer holds the secret: %s", a.Body)
		}
	}
	if got.Name != name || got.CheckedAt != w.Clock.Now().UTC().Format(time.RFC3339) {
		w.t.Errorf("%+v", got)
	}
	return got
}

func TestEveryProviderTellsARightKeyFromAWrongOne(t *testing.T) {
	w := newWorld(t)
	scripted := httptest.NewServer(&provider.Provider{})
	t.Cleanup(scripted.Close)
	nobody := httptest.NewServer(nil)
	nobody.Close()
	for _, p := range agent.Providers() {
		if _, ok := questions[p.Name]; !ok {
			t.Errorf("nobody knows how to ask %s", p.Name)
		}
		w.handler.providerURLs[p.Name] = scripted.URL
		for key, want := range map[string]state{
			"a-right-key-of-" + p.Name: works, provider.Error401 + "-a-wrong-key-of-" + p.Name: refused,
			provider.Error429 + "-a-busy-key-of-" + p.Name: unknown, provider.Error500 + "-a-key-of-" + p.Name: unknown,
		} {
			w.put(p.Secret, key, "")
			if got := w.ask(p.Secret, ""); got.State != want {
				t.Errorf("%s with %s: %+v, want %s", p.Name, key, got, want)
			}
		}
		w.handler.providerURLs[p.Name] = nobody.URL
		if got := w.ask(p.Secret, `{}`); got.State != unknown || got.Detail != "The provider cannot be reached." {
			t.Errorf("%s, which is not there: %+v", p.Name, got)
		}
	}
	w.handler.patience = 50 * time.Millisecond
	w.handler.providerURLs["openai"] = scripted.URL
	w.put("OPENAI_API_KEY", provider.Hang+"-for-ever-and-ever", "")
	if got := w.ask("OPENAI_API_KEY", ""); got.State != unknown || got.Detail != "The provider did not answer in time." {
		t.Errorf("%+v", got)
	}
}

// What providers answer, as their documentation and their users report it; each
// answer repeats the key.
func TestWhatAProvidersAnswerMeans(t *testing.T) {
	const (
		list       = `{"data":[{"id":"@@"}]}`
		geminiBad  = `{"error":{"code":400,"message":"API key not valid: @@","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`
		geminiArea = `{"error":{"code":400,"message":"@@: User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`
		geminiLeak = `{"error":{"code":403,"message":"@@ was reported as leaked.","status":"PERMISSION_DENIED"}}`
		xaiGood    = `{"api_key_id":"@@","api_key_blocked":false,"api_key_disabled":false,"team_blocked":false}`
	)
	w := newWorld(t)
	const key = "a-key-that-everybody-repeats"
	var status int
	var body, asked string
	host := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(strings.ReplaceAll(body, "@@", key)))
	}))
	t.Cleanup(host.Close)
	for _, p := range agent.Providers() {
		w.handler.providerURLs[p.Name] = host.URL + "/"
		w.put(p.Secret, key, "")
	}
	for _, c := range []struct {
		secret string
		status int
		body   string
		want   state
	}{
		{"ANTHROPIC_API_KEY", 200, list, works},
		{"ANTHROPIC_API_KEY", 401, `{"type":"error","error":{"type":"authentication_error","message":"invalid @@"}}`, refused},
		{"ANTHROPIC_API_KEY", 403, `{"type":"error","error":{"type":"permission_error","message":"@@"}}`, unknown},
		{"ANTHROPIC_API_KEY", 400, `@@`, unknown},
		{"ANTHROPIC_API_KEY", 529, `@@`, unknown},
		{"OPENAI_API_KEY", 200, list, works},
		{"OPENAI_API_KEY", 200, `{"data":[]}`, works},
		{"OPENAI_API_KEY", 200, `<html>@@</html>`, unknown},
		{"OPENAI_API_KEY", 200, `{"key":"@@"}`, unknown},
		{"OPENAI_API_KEY", 200, ``, unknown},
		{"OPENAI_API_KEY", 401, `Incorrect API key provided: @@`, refused},
		{"OPENAI_API_KEY", 403, `{"error":{"message":"Missing scopes: api.model.read of @@"}}`, unknown},
		{"OPENAI_API_KEY", 429, `@@`, unknown},
		{"OPENAI_API_KEY", 502, `@@`, unknown},
		{"OPENAI_API_KEY", 404, `@@`, unknown},
		{"OPENAI_API_KEY", 204, ``, unknown},
		{"DEEPSEEK_API_KEY", 200, list, works},
		{"DEEPSEEK_API_KEY", 402, `Insufficient Balance of @@`, refused},
		{"DEEPSEEK_API_KEY", 400, `@@`, unknown},
		{"GEMINI_API_KEY", 200, `{"models":[]}`, works},
		{"GEMINI_API_KEY", 400, geminiBad, refused},
		{"GEMINI_API_KEY", 400, geminiArea, unknown},
		{"GEMINI_API_KEY", 400, `@@`, unknown},
		{"GEMINI_API_KEY", 403, geminiLeak, refused},
		{"GEMINI_API_KEY", 403, `<html>@@</html>`, unknown},
		{"XAI_API_KEY", 200, xaiGood, works},
		{"XAI_API_KEY", 200, strings.Replace(xaiGood, `blocked":false`, `blocked":true`, 1), refused},
		{"XAI_API_KEY", 200, strings.Replace(xaiGood, `disabled":false`, `disabled":true`, 1), refused},
		{"XAI_API_KEY", 200, strings.Replace(xaiGood, `team_blocked":false`, `team_blocked":true`, 1), refused},
		{"XAI_API_KEY", 200, list, unknown},
		{"XAI_API_KEY", 400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: @@"}`, refused},
		{"XAI_API_KEY", 503, `@@`, unknown},
	} {
		status, body = c.status, c.body
		if got := w.ask(c.secret, ""); got.State != c.want || got.Detail == "" {
			t.Errorf("%s: %d %s is %+v, want %s", c.secret, c.status, c.body, got, c.want)
		}
		if strings.Contains(asked, "//") || strings.Contains(asked, key) {
			t.Errorf("%s: the key or a wrong path is in the URL: %s", c.secret, asked)
		}
	}
	status, body = 200, `{"data":["`+strings.Repeat("x", 2*maxAnswer)+`"]}`
	if got := w.ask("OPENAI_API_KEY", ""); got.State != unknown {
		t.Errorf("an endless answer: %+v", got)
	}
}

func TestAKeyGoesNowhereElse(t *testing.T) {
	w := newWorld(t)
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	sends := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(sends.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, other.URL)
	}
	for _, p := range agent.Providers() {
		w.handler.providerURLs[p.Name] = sends.URL
		w.put(p.Secret, "a-key-that-stays", "")
		if got := w.ask(p.Secret, ""); got.State != unknown {
			t.Errorf("%+v", got)
		}
	}
	if elsewhere > 0 {
		t.Errorf("%d requests went elsewhere", elsewhere)
	}
}

// gitServer is a git host: /open is everybody's, /private the token's alone.
type gitServer struct {
	*httptest.Server
	host  string
	token string

	mu   sync.Mutex
	seen []string // "path password"
}

func newGitServer(t *testing.T, address string) *gitServer {
	g := &gitServer{token: "git-token-of-some-length"}
	refs := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000"))
	}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		g.mu.Lock()
		g.seen = append(g.seen, r.URL.RequestURI()+" "+password)
		g.mu.Unlock()
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case name == "moved":
			http.Redirect(w, r, strings.Replace(r.URL.RequestURI(), "moved", "private", 1), http.StatusMovedPermanently)
		case name == "circle":
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		case strings.HasPrefix(name, "to:"):
			http.Redirect(w, r, strings.Replace(name[3:], "_", "/", -1), http.StatusFound)
		case name == "page":
			_, _ = fmt.Fprintf(w, "<html>%s</html>", password)
		case name == "busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case name == "broken":
			w.WriteHeader(http.StatusBadGateway)
		case name == "hidden":
			w.WriteHeader(http.StatusNotFound)
		case name == "open" || password == g.token:
			refs(w)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	g.Listener.Close()
	g.Listener, g.host = l, l.Addr().String()
	g.Start()
	t.Cleanup(g.Close)
	return g
}

func TestAGitTokenIsAskedAboutAtItsHost(t *testing.T) {
	w, g, inner := newWorld(t), newGitServer(t, "127.0.0.1"), newGitServer(t, "127.0.0.2")
	w.put(secret.GitToken, g.token, g.host)
	check := func(path string) answer { return w.ask(secret.GitToken, `{"repo":"`+g.URL+"/"+path+`"}`) }
	elsewhere := "to:http:__" + inner.host + "_private"
	for path, want := range map[string]state{
		"private": works, "private/": works, "moved": works, "open": unknown, "hidden": refused, "page": unknown, "busy": unknown, "broken": unknown,
		"circle": unknown, elsewhere: unknown,
	} {
		if got := check(path); got.State != want || strings.Contains(got.Detail, inner.host) {
			t.Errorf("%s: %+v, want %s", path, got, want)
		}
	}
	if len(inner.seen) > 0 {
		t.Errorf("another host saw %q", inner.seen)
	}
	if g.seen[0] == "" || !strings.Contains(strings.Join(g.seen, "\n"), "/private/info/refs?service=git-upload-pack "+g.token) {
		t.Errorf("its host saw %q", g.seen)
	}
	w.put(secret.GitToken, "another-token-of-some-length", g.host)
	if got := check("private"); got.State != refused {
		t.Errorf("a wrong token: %+v", got)
	}

	// A host that is private where the token is used, whatever it was recorded as.
	w.put(secret.GitToken, g.token, inner.host)
	w.As(w.Caller, apitest.Request{ID: secret.GitToken, Body: `{"repo":"` + inner.URL + `/private"}`}).Refused(t, problem.ValidationFailed, "/repo")
	_, port, _ := net.SplitHostPort(inner.host)
	w.handler.repositories.Reach.Resolver = egresstest.Fixed(map[string]string{"git.example.com": "127.0.0.2"})
	w.put(secret.GitToken, g.token, "git.example.com:"+port)
	if got := w.ask(secret.GitToken, `{"repo":"http://git.example.com:`+port+`/private"}`); got.State != unknown ||
		got.Detail != "It was not asked: the host git.example.com resolves to an address that is not public." {
		t.Errorf("a name that leads to a private address: %+v", got)
	}
	if len(inner.seen) > 0 {
		t.Errorf("a private address was reached: %q", inner.seen)
	}
}

func TestRequestsThatSayTooLittleOrTooMuch(t *testing.T) {
	w, g := newWorld(t), newGitServer(t, "127.0.0.1")
	w.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.NotFound, "")
	w.As(w.Caller, apitest.Request{ID: secret.GitToken, Body: `{"repo":"https://example.com/a/b"}`}).Refused(t, problem.NotFound, "")
	w.As(w.Caller, apitest.Request{ID: "AWS_SECRET_ACCESS_KEY"}).Refused(t, problem.NotFound, "")
	w.put("OPENAI_API_KEY", "a-key-of-some-length", "")
	w.put(secret.GitToken, g.token, g.host)
	w.As(w.Stranger("pro"), apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.NotFound, "")
	for _, c := range []struct{ why, name, body, field string }{
		{"no repository", secret.GitToken, ``, "/repo"},
		{"an empty object", secret.GitToken, `{}`, "/repo"},
		{"an empty repository", secret.GitToken, `{"repo":""}`, "/repo"},
		{"another host", secret.GitToken, `{"repo":"https://evil.example/a/b"}`, "/repo"},
		{"a host that begins alike", secret.GitToken, `{"repo":"http://` + g.host + `.evil.example/a/b"}`, "/repo"},
		{"the host as a name", secret.GitToken, `{"repo":"http://` + g.host + `@evil.example/a/b"}`, "/repo"},
		{"another port", secret.GitToken, `{"repo":"http://127.0.0.1:1/a/b"}`, "/repo"},
		{"a file", secret.GitToken, `{"repo":"file:///etc/passwd"}`, "/repo"},
		{"a private address", secret.GitToken, `{"repo":"http://169.254.169.254/a/b"}`, "/repo"},
		{"a scheme that is not allowed", secret.GitToken, `{"repo":"gopher://` + g.host + `/a"}`, "/repo"},
		{"a wrong type", secret.GitToken, `{"repo":7}`, "/repo"},
		{"a repository for a provider's key", "OPENAI_API_KEY", `{"repo":"https://example.com/a/b"}`, "/repo"},
		{"an unknown field", "OPENAI_API_KEY", `{"value":"x"}`, ""},
	} {
		w.As(w.Caller, apitest.Request{ID: c.name, Body: c.body}).Refused(t, problem.ValidationFailed, c.field)
	}
	if len(g.seen) > 0 || len(w.Audited("secret.check")) > 0 {
		t.Errorf("somebody was asked: %q", g.seen)
	}
}

func TestACheckIsInTheTrailBeforeAnybodyIsAsked(t *testing.T) {
	w, g := newWorld(t), newGitServer(t, "127.0.0.1")
	w.put(secret.GitToken, g.token, g.host)
	body := `{"repo":"` + g.URL + `/private"}`
	w.ask(secret.GitToken, body)
	trail := w.Audited("secret.check")
	if len(trail) != 1 || trail[0].Target != secret.GitToken || trail[0].Actor != w.Caller.KeyID || trail[0].Detail != g.URL+"/private" || trail[0].Address == "" {
		t.Errorf("the trail: %+v", trail)
	}
	asked := len(g.seen)
	w.Revoke(w.Caller)
	w.As(w.Caller, apitest.Request{ID: secret.GitToken, Body: body}).Refused(t, problem.Unauthorized, "")
	if len(g.seen) != asked {
		t.Error("a revoked key made somebody be asked")
	}
}

// changing is a vault in which the secret is set once more behind each reader.
type changing struct {
	*secret.Vault
	after func()
}

func (c changing) Open(ctx context.Context, tenantID, name string) (value, host string, err error) {
	value, host, err = c.Vault.Open(ctx, tenantID, name)
	c.after()
	return value, host, err
}

func TestTheAnswerIsAboutTheValueThatWasChecked(t *testing.T) {
	w := newWorld(t)
	scripted := httptest.NewServer(&provider.Provider{})
	t.Cleanup(scripted.Close)
	w.handler.providerURLs["openai"] = scripted.URL
	w.put("OPENAI_API_KEY", provider.Error401+"-the-first-key", "")
	times := 0
	w.handler.vault = changing{w.vault, func() {
		if times++; times == 1 {
			w.put("OPENAI_API_KEY", "the-second-key-which-is-good", "")
		}
	}}
	got := w.ask("OPENAI_API_KEY", "")
	stored, err := w.Secret(t.Context(), w.Tenant, "OPENAI_API_KEY")
	w.Must(err)
	if got.State != works || times != 2 || got.SetAt != stored.SetAt.UTC().Format(time.RFC3339) {
		t.Errorf("%+v after %d reads", got, times)
	}
	w.handler.vault = changing{w.vault, func() { w.put("OPENAI_API_KEY", fmt.Sprint("yet-another-key-", len(w.set)), "") }}
	w.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.Busy, "")
	w.handler.vault = changing{w.vault, func() {
		now := w.Clock.Now()
		_ = w.DeleteSecret(t.Context(), w.Tenant, "OPENAI_API_KEY", table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "secret.delete", Actor: "test"}})
	}}
	w.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY"}).Refused(t, problem.NotFound, "")
}
