package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/infra/local/demorepo"
	"outpost/infra/local/provider"
)

// api is one of the APIs: how a request of one user message is put, plain and
// streamed, where it goes, and how a whole stream ends.
type api struct {
	agent, path, streamPath, key, end string
	body                              func(prompt string, stream bool) string
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var apis = []api{
	{"claude", "/v1/messages", "/v1/messages?beta=true", "X-Api-Key", "message_stop", func(p string, stream bool) string {
		return fmt.Sprintf(`{"model":"claude-x","stream":%v,"messages":[{"role":"user","content":%s}],"tools":[{"name":"Bash"},{"name":"Read"},{"name":"Write"}]}`, stream, quote(p))
	}},
	{"codex", "/v1/responses", "/v1/responses", "Authorization", "response.completed", func(p string, stream bool) string {
		return fmt.Sprintf(`{"model":"gpt-x","stream":%v,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":%s}]}],"tools":[{"type":"custom","name":"apply_patch"},{"type":"function","name":"exec_command"}]}`, stream, quote(p))
	}},
	{"grok", "/v1/chat/completions", "/v1/chat/completions", "Authorization", "[DONE]", func(p string, stream bool) string {
		return fmt.Sprintf(`{"model":"grok-x","stream":%v,"messages":[{"role":"user","content":%s}],"tools":[{"type":"function","function":{"name":"write"}},{"type":"function","function":{"name":"read_file"}},{"type":"function","function":{"name":"run_terminal_command"}}]}`, stream, quote(p))
	}},
	{"aider", "/v1/chat/completions", "/v1/chat/completions", "Authorization", "[DONE]", func(p string, stream bool) string {
		return fmt.Sprintf(`{"model":"gpt-x","stream":%v,"messages":[{"role":"user","content":%s}]}`, stream, quote(p))
	}},
	{"gemini", "/v1beta/models/gemini-x:generateContent", "/v1beta/models/gemini-x:streamGenerateContent?alt=sse", "X-Goog-Api-Key", "STOP", func(p string, _ bool) string {
		return fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":%s}]}],"tools":[{"functionDeclarations":[{"name":"write_file"},{"name":"read_file"},{"name":"run_shell_command"}]}]}`, quote(p))
	}},
}

func (a api) request(t *testing.T, base, prompt string, stream bool) *http.Request {
	t.Helper()
	path := a.path
	if stream {
		path = a.streamPath
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(a.body(prompt, stream)))
	if err != nil {
		t.Fatal(err)
	}
	key := "any-key"
	if a.key == "Authorization" {
		key = "Bearer " + key
	}
	req.Header.Set(a.key, key)
	return req
}

func ask(t *testing.T, req *http.Request) (int, string, error) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func start(t *testing.T) (*provider.Provider, string) {
	t.Helper()
	p := &provider.Provider{}
	s := httptest.NewServer(p)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return p, s.URL
}

func TestEveryAPIAnswersPlainAndStreamed(t *testing.T) {
	p, base := start(t)
	for _, a := range apis {
		for _, stream := range []bool{false, true} {
			status, body, err := ask(t, a.request(t, base, demorepo.Prompt, stream))
			if err != nil || status != http.StatusOK || !strings.Contains(body, "src/pages.js") {
				t.Errorf("%s, streamed %v: %d %v\n%s", a.agent, stream, status, err, body)
			}
			if stream && !strings.Contains(body, a.end) {
				t.Errorf("%s: the stream does not end with %s:\n%s", a.agent, a.end, body)
			}
			if !stream && !json.Valid([]byte(body)) {
				t.Errorf("%s: no JSON:\n%s", a.agent, body)
			}
			if again, body2, _ := ask(t, a.request(t, base, demorepo.Prompt, stream)); again != status || body2 != body {
				t.Errorf("%s: the same request has two answers", a.agent)
			}
		}
		if n := p.Count(a.agent, provider.FixBug); n != 4 {
			t.Errorf("%s: %d requests were counted, 4 were made", a.agent, n)
		}
	}
}

func TestErrorsComeInTheAPIsOwnForm(t *testing.T) {
	_, base := start(t)
	for _, a := range apis {
		for name, want := range map[string]int{provider.Error401: 401, provider.Error429: 429, provider.Error500: 500} {
			status, body, err := ask(t, a.request(t, base, "[scenario: "+name+"]", true))
			var parsed struct {
				Error struct {
					Message string `json:"message"`
				} `json:"error"`
			}
			if err != nil || status != want || json.Unmarshal([]byte(body), &parsed) != nil || parsed.Error.Message == "" {
				t.Errorf("%s %s: %d %v %s", a.agent, name, status, err, body)
			}
		}
	}
}

func TestACutStreamBreaksTheConnection(t *testing.T) {
	_, base := start(t)
	for _, a := range apis {
		_, body, err := ask(t, a.request(t, base, "[scenario: cut-stream]", true))
		if err == nil || body == "" || strings.Contains(body, a.end) {
			t.Errorf("%s: %v after\n%s", a.agent, err, body)
		}
		if _, _, err := ask(t, a.request(t, base, "[scenario: cut-stream]", false)); err == nil {
			t.Errorf("%s: the plain answer was whole", a.agent)
		}
	}
}

func TestAHangingAnswerEndsWithItsClientOrTheServer(t *testing.T) {
	s, err := provider.Start()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, len(apis))
	for _, a := range apis {
		req := a.request(t, s.URL, "[scenario: hang]", true)
		go func() {
			_, _, err := ask(t, req)
			done <- err
		}()
	}
	for deadline := time.Now().Add(time.Minute); s.Count("", provider.Hang) < len(apis); {
		if time.Now().After(deadline) {
			t.Fatalf("only %d requests came in", s.Count("", provider.Hang))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ask(t, apis[0].request(t, s.URL, "[scenario: hang]", true).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("the client that went away got %v", err)
	}
	s.Close()
	for range apis {
		if err := <-done; err == nil {
			t.Error("a hanging answer came to an end of its own")
		}
	}
}

func TestThePromptChoosesTheScenario(t *testing.T) {
	for _, c := range []struct{ prompt, claude, codex, why string }{
		{"Fix it.", "fix-bug", "fix-bug", "no choice"},
		{"Fix it. [scenario: no-change]", "no-change", "no-change", "for all"},
		{"[scenario codex: no-change]", "fix-bug", "no-change", "for one"},
		{"[scenario codex: print-env] [scenario: no-change]", "no-change", "print-env", "the agent's own counts more"},
		{"[scenario: of-another-kind]", "fix-bug", "fix-bug", "an unknown name"},
	} {
		p, base := start(t)
		for _, a := range apis[:2] {
			if _, _, err := ask(t, a.request(t, base, c.prompt, false)); err != nil {
				t.Fatal(err)
			}
		}
		if p.Count("claude", c.claude) != 1 || p.Count("codex", c.codex) != 1 {
			t.Errorf("%s: %q", c.why, c.prompt)
		}
	}
}

func TestAPromptDictatesFiles(t *testing.T) {
	_, base := start(t)
	aider := apis[3] // it has no tools, and so gets all edits at once
	_, body, err := ask(t, aider.request(t, base, "Do this. [write path=docs/a b.md]\nfirst\nsecond\n[/write]", false))
	if err != nil || !strings.Contains(body, `docs/a b.md`) || !strings.Contains(body, `first\nsecond\n`) {
		t.Errorf("%v %s", err, body)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	p, base := start(t)
	p.Key = "the-key"
	for _, c := range []struct {
		why, method, path, key, body string
		want                         int
	}{
		{"no key", "POST", "/v1/messages", "", "{}", 401},
		{"another key", "POST", "/v1/messages", "other", "{}", 401},
		{"another key, asking for the models", "GET", "/v1/models", "other", "", 401},
		{"no JSON", "POST", "/v1/messages", "the-key", "{", 400},
		{"no JSON", "POST", "/v1/responses", "the-key", "", 400},
		{"another type", "POST", "/v1/chat/completions", "the-key", `{"messages":7}`, 400},
		{"content that is a number", "POST", "/v1/messages", "the-key", `{"messages":[{"role":"user","content":7}]}`, 400},
		{"a method that is not there", "POST", "/v1beta/models/m:embed", "the-key", "{}", 400},
		{"an unknown path", "POST", "/v2/anything", "the-key", "{}", 404},
		{"a question where an order is due", "GET", "/v1/messages", "the-key", "", 405},
		{"33 MB", "POST", "/v1/messages", "the-key", `{"x":"` + strings.Repeat("x", 33<<20) + `"}`, 413},
	} {
		req := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
		req.Header.Set("X-Api-Key", c.key)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, req)
		if w.Code != c.want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", c.why, w.Code, w.Body)
		}
	}
	if n := p.Count("", ""); n != 0 {
		t.Errorf("%d refused requests were counted as answered", n)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer the-key")
	if status, body, err := ask(t, req); err != nil || status != http.StatusOK || !strings.Contains(body, "grok") {
		t.Errorf("models: %d %v %s", status, err, body)
	}
}

// A key that begins with a failure's name is answered by it, in each API's own
// form, wherever it is sent; every other is a good one.
func TestAKeyCanStandForAFailure(t *testing.T) {
	_, base := start(t)
	for _, c := range []struct{ method, path, header, listed string }{
		{"GET", "/v1/models?limit=1", "X-Api-Key", `"data":[`},
		{"GET", "/v1/models", "Authorization", `"data":[`},
		{"GET", "/models", "Authorization", `"data":[`},
		{"GET", "/v1beta/models?pageSize=1", "X-Goog-Api-Key", `"models":[`},
		{"GET", "/v1/api-key", "Authorization", `"api_key_blocked":false`},
		{"POST", "/v1/messages", "X-Api-Key", ""},
	} {
		send := func(key string) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.header == "Authorization" {
				key = "Bearer " + key
			}
			req.Header.Set(c.header, key)
			status, body, err := ask(t, req)
			if err != nil {
				t.Fatal(err)
			}
			return status, body
		}
		if status, body := send("mine"); c.listed != "" && (status != 200 || !strings.Contains(body, c.listed)) {
			t.Errorf("%s with a good key: %d %s", c.path, status, body)
		}
		wrong := 401
		if c.path == "/v1/api-key" || strings.HasPrefix(c.path, "/v1beta") {
			wrong = 400
		}
		if status, body := send("error-401-mine"); status != wrong || !strings.Contains(body, "error-401-mine") {
			t.Errorf("%s with a wrong key: %d %s", c.path, status, body)
		}
		for key, want := range map[string]int{"error-429": 429, "error-500-x": 500} {
			if status, body := send(key); status != want {
				t.Errorf("%s with the key %s: %d %s", c.path, key, status, body)
			}
		}
	}
}

func TestManyConversationsAtOnceDoNotMeet(t *testing.T) {
	p, base := start(t)
	var wg sync.WaitGroup
	for i := range 40 {
		a, scenario := apis[i%len(apis)], []string{provider.NoChange, provider.FixBug}[i%2]
		req := a.request(t, base, demorepo.Prompt+" [scenario: "+scenario+"]", true)
		wg.Go(func() {
			_, body, err := ask(t, req)
			if err != nil || strings.Contains(body, "nothing to change") != (scenario == provider.NoChange) {
				t.Errorf("%s %s: %v", a.agent, scenario, err)
			}
		})
	}
	wg.Wait()
	if n := p.Count("", ""); n != 40 {
		t.Errorf("%d requests were counted, 40 were made", n)
	}
}
