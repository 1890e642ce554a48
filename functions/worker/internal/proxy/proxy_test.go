package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"outpost/functions/worker/internal/proxy"
	"outpost/shared/agent"
	"outpost/shared/redact"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// realKey is built here so that no scanner takes it for a real one.
var realKey = "real-" + strings.Repeat("k3", 12)

// upstream is a provider that remembers what it was asked.
type upstream struct {
	mu     sync.Mutex
	asked  []*http.Request
	bodies []string
	answer http.HandlerFunc
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.asked, u.bodies = append(u.asked, r), append(u.bodies, string(body))
	u.mu.Unlock()
	u.answer(w, r)
}

func says(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

func start(t *testing.T, provider string, budget float64, answer http.HandlerFunc) (*proxy.Proxy, *upstream, *int) {
	t.Helper()
	u := &upstream{answer: answer}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	var mu sync.Mutex
	stops := 0
	p, err := proxy.Start(proxy.Config{
		Provider: runner.Provider{Name: provider, BaseURL: server.URL + "/prefix", Key: realKey}, Model: "gpt-5",
		BudgetUSD: budget, Scrubber: redact.New(redact.Secrets{"KEY": realKey}),
		Stop: func() { mu.Lock(); defer mu.Unlock(); stops++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, u, &stops
}

// ask sends a request with the agent's key as a bearer.
func ask(t *testing.T, p *proxy.Proxy, method, path, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, p.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Key())
	for _, c := range change {
		c(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestTheKeyIsPutInThePlaceOfTheAgents(t *testing.T) {
	for _, c := range []struct{ provider, path, header, want string }{
		{"anthropic", "/v1/messages?beta=true", "X-Api-Key", realKey},
		{"openai", "/v1/responses", "Authorization", "Bearer " + realKey},
		{"xai", "/v1/chat/completions", "Authorization", "Bearer " + realKey},
		{"deepseek", "/chat/completions", "Authorization", "Bearer " + realKey},
		{"gemini", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=KEY", "X-Goog-Api-Key", realKey},
	} {
		p, u, _ := start(t, c.provider, 0, says("application/json", "{}"))
		path := strings.ReplaceAll(c.path, "KEY", p.Key())
		status, _ := ask(t, p, "POST", path, "{}", func(r *http.Request) { r.Header.Set("Cookie", "a=b") })
		if status != 200 || len(u.asked) != 1 {
			t.Errorf("%s: status %d, %d calls", c.provider, status, len(u.asked))
			continue
		}
		r := u.asked[0]
		if r.Header.Get(c.header) != c.want || r.Header.Get("Cookie") != "" || !strings.HasPrefix(r.URL.Path, "/prefix/") {
			t.Errorf("%s: the provider saw %s %v", c.provider, r.URL, r.Header)
		}
		if whole := fmt.Sprint(r.URL, r.Header); strings.Contains(whole, p.Key()) || strings.Count(whole, realKey) != 1 {
			t.Errorf("%s: keys in %s", c.provider, whole)
		}
	}
}

func TestOnlyTheAgentsOwnCallsPass(t *testing.T) {
	p, u, _ := start(t, "openai", 0, says("application/json", "{}"))
	for _, c := range []struct {
		why, method, path string
		change            func(*http.Request)
		want              int
	}{
		{"another's key", "POST", "/v1/responses", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		{"no key", "POST", "/v1/responses", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"another endpoint", "POST", "/v1/files", nil, 404},
		{"the organisation's keys", "GET", "/v1/organization/api_keys", nil, 404},
		{"a path that climbs", "POST", "/v1/responses/../files", nil, 404},
		{"an escaped path", "POST", "/v1/responses%2f..%2ffiles", nil, 404},
		{"another method", "DELETE", "/v1/responses", nil, 404},
		{"a path of its own in front", "POST", "//evil/v1/responses", nil, 404},
		{"a WebSocket", "GET", "/v1/responses", func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, 426},
		{"a model list is read", "GET", "/v1/models", nil, 200},
	} {
		var change []func(*http.Request)
		if c.change != nil {
			change = append(change, c.change)
		}
		status, body := ask(t, p, c.method, c.path, "{}", change...)
		if status != c.want {
			t.Errorf("%s: %d, want %d", c.why, status, c.want)
		}
		if status >= 400 && !json.Valid([]byte(body)) {
			t.Errorf("%s: the refusal is no JSON: %q", c.why, body)
		}
	}
	if len(u.asked) != 1 {
		t.Errorf("%d calls reached the provider, want the model list alone", len(u.asked))
	}
}

func TestTokensAreCountedFromTheAnswers(t *testing.T) {
	event := func(lines ...string) string {
		return "event: x\ndata: " + strings.Join(lines, "\n\nevent: x\ndata: ") + "\n\n"
	}
	const sse = "text/event-stream; charset=utf-8"
	for _, c := range []struct {
		why, provider, path, kind, answer string
		want                              agent.Usage
	}{
		{"Anthropic, plain, cached input apart", "anthropic", "/v1/messages", "application/json",
			`{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":7}}`, agent.Usage{InputTokens: 17, CachedInputTokens: 5, OutputTokens: 7}},
		{"Anthropic, streamed: the last count is the whole", "anthropic", "/v1/messages", sse,
			event(`{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}`, `{"type":"content_block_delta","delta":{"text":"\"usage\""}}`, `{"type":"message_delta","usage":{"output_tokens":4}}`, `{"type":"message_delta","usage":{"output_tokens":9}}`),
			agent.Usage{InputTokens: 15, CachedInputTokens: 5, OutputTokens: 9}},
		{"OpenAI responses, streamed", "openai", "/v1/responses", sse,
			event(`{"type":"response.created","response":{"usage":null}}`, `{"type":"response.completed","response":{"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":8},"output_tokens":3}}}`),
			agent.Usage{InputTokens: 20, CachedInputTokens: 8, OutputTokens: 3}},
		{"chat completions, streamed, without a last line end", "openai", "/v1/chat/completions", sse,
			event(`{"choices":[{"delta":{}}],"usage":null}`) + `data: {"choices":[],"usage":{"prompt_tokens":30,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":6}}`,
			agent.Usage{InputTokens: 30, CachedInputTokens: 4, OutputTokens: 6}},
		{"chat completions that leave reasoning out", "xai", "/v1/chat/completions", "application/json",
			`{"usage":{"prompt_tokens":30,"completion_tokens":6,"total_tokens":50}}`, agent.Usage{InputTokens: 30, OutputTokens: 20}},
		{"Gemini, streamed: the last one wins", "gemini", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", sse,
			event(`{"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":1}}`, `{"usageMetadata":{"promptTokenCount":40,"cachedContentTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":2}}`),
			agent.Usage{InputTokens: 40, CachedInputTokens: 10, OutputTokens: 7}},
		{"Gemini, an array of events", "gemini", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", "application/json",
			`[{"usageMetadata":{"promptTokenCount":40}},{"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":5}}]`, agent.Usage{InputTokens: 40, OutputTokens: 5}},
		{"an answer that tells nothing", "openai", "/v1/responses", "application/json", `not json`, agent.Usage{}},
	} {
		p, _, _ := start(t, c.provider, 0, says(c.kind, c.answer))
		_, body := ask(t, p, "POST", c.path, `{"model":"gpt-5"}`)
		if body != c.answer {
			t.Errorf("%s: the answer was changed: %q", c.why, body)
		}
		if got, _ := p.Usage(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
}

func TestStreamedChatCompletionsAreAskedForTheirTokens(t *testing.T) {
	for _, c := range []struct{ why, path, body, want string }{
		{"asked for", "/v1/chat/completions", `{"model":"m","stream":true,"n":12345678901234567890}`, `{"model":"m","n":12345678901234567890,"stream":true,"stream_options":{"include_usage":true}}`},
		{"other options stay", "/v1/chat/completions", `{"stream":true,"stream_options":{"x":1}}`, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`},
		{"not streamed: as it was", "/v1/chat/completions", `{ "model":"m" }`, `{ "model":"m" }`},
		{"another call: as it was", "/v1/responses", `{ "stream":true }`, `{ "stream":true }`},
		{"no JSON: as it was", "/v1/chat/completions", `{`, `{`},
	} {
		p, u, _ := start(t, "openai", 0, says("application/json", "{}"))
		ask(t, p, "POST", c.path, c.body)
		if got := u.bodies[0]; got != c.want {
			t.Errorf("%s: sent %s, want %s", c.why, got, c.want)
		}
	}
}

func TestTheBudgetEndsTheCalls(t *testing.T) {
	// gpt-5 costs 1.25 USD a million input tokens.
	p, u, stops := start(t, "openai", 2, says("application/json", `{"usage":{"input_tokens":1000000,"output_tokens":0}}`))
	for i, want := range []int{200, 200, 402, 402} {
		if status, body := ask(t, p, "POST", "/v1/responses", `{"model":"gpt-5"}`); status != want {
			t.Errorf("call %d: %d %s, want %d", i, status, body, want)
		}
	}
	if v := p.Verdict(); len(u.asked) != 2 || *stops != 1 || v == nil || v.Reason != task.ReasonBudgetExceeded {
		t.Errorf("%d calls, %d stops, verdict %v", len(u.asked), *stops, v)
	}
	if _, cost := p.Usage(); cost == nil || *cost != 2.5 {
		t.Errorf("cost %v, want 2.50", cost)
	}
}

func TestAnUnknownPriceIsNotZero(t *testing.T) {
	p, _, _ := start(t, "openai", 0, says("application/json", `{"usage":{"input_tokens":10,"output_tokens":1}}`))
	ask(t, p, "POST", "/v1/responses", `{"model":"some-other"}`)
	if u, cost := p.Usage(); u.InputTokens != 10 || cost != nil {
		t.Errorf("usage %+v, cost %v", u, cost)
	}
}

func TestErrorsAreRememberedUntilACallIsServed(t *testing.T) {
	answer := says("application/json", "{}")
	p, _, _ := start(t, "openai", 0, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	for _, c := range []struct {
		why    string
		answer http.HandlerFunc
		want   task.Reason
	}{
		{"429", status(429, "slow"), task.ReasonProviderRateLimited},
		{"500", status(500, "oops"), task.ReasonProviderError},
		{"400 is the request's fault", status(400, "no such model"), task.ReasonAgentFailed},
		{"an error in a stream", says("text/event-stream", "data: {\"type\":\"error\",\"error\":{\"message\":\"overloaded\"}}\n\n"), task.ReasonProviderError},
		{"a failed response in a stream", says("text/event-stream", "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"x\"}}}\n\n"), task.ReasonProviderError},
		{"an answer that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("data: "))
		}, task.ReasonProviderError},
		{"served", says("application/json", "{}"), ""},
	} {
		answer = c.answer
		req, _ := http.NewRequest("POST", p.URL()+"/v1/responses", strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer "+p.Key())
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		got := task.Reason("")
		if f := p.LastFailure(); f != nil {
			got = f.Reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

// Some agents hang up as soon as they have what they need, while the provider's
// answer is still open.
func TestAnAgentThatHangsUpIsNoFailureOfTheProvider(t *testing.T) {
	release, gone := make(chan struct{}), make(chan struct{})
	p, _, _ := start(t, "openai", 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":3}}}\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			close(gone)
		case <-release:
		}
	})
	defer close(release)
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", p.URL()+"/v1/responses", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Key())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	hangUp()
	_ = resp.Body.Close()
	<-gone
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for { // the proxy's own call ends a moment after
		u, _ := p.Usage()
		if u.InputTokens == 7 && u.OutputTokens == 3 {
			break
		}
	}
	if f := p.LastFailure(); f != nil {
		t.Errorf("%+v", f)
	}
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"error":{"message":%q}}`, text)
	}
}

func TestARepeatedKeyIsScrubbedFromErrors(t *testing.T) {
	p, _, _ := start(t, "openai", 0, status(401, "bad key "+realKey))
	if code, body := ask(t, p, "POST", "/v1/responses", "{}"); code != 401 || strings.Contains(body, realKey) || !strings.Contains(body, "[redacted:KEY]") {
		t.Errorf("%d %s", code, body)
	}
}

func TestAStreamPassesAsItComes(t *testing.T) {
	more := make(chan struct{})
	p, _, _ := start(t, "openai", 0, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "data: 2\n\n")
	})
	req, _ := http.NewRequest("POST", p.URL()+"/v1/responses", strings.NewReader("{}"))
	req.Header.Set("Authorization", "Bearer "+p.Key())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Errorf("%q, %v", first, err)
	}
	close(more) // would never be reached if the answer were held back
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "data: 2\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestARequestThatIsTooLargeIsRefused(t *testing.T) {
	p, u, _ := start(t, "openai", 0, says("application/json", "{}"))
	req, _ := http.NewRequest("POST", p.URL()+"/v1/responses", bytes.NewReader(make([]byte, 33<<20)))
	req.Header.Set("Authorization", "Bearer "+p.Key())
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if len(u.asked) > 0 {
		t.Error("it reached the provider")
	}
}
