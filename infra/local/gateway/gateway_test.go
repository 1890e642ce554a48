package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/infra/local/gateway"
	"outpost/shared/clock"
)

// functions stands for Lambda: an authorizer that knows one key, and every
// other function, which echoes what it was sent.
type functions struct {
	mu    sync.Mutex
	asked int
	last  events.APIGatewayV2HTTPRequest
	reply *events.APIGatewayV2HTTPResponse
	err   error
}

func (f *functions) Invoke(_ context.Context, name string, payload []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Contains(name, "authorize") {
		f.asked++
		var in events.APIGatewayV2CustomAuthorizerV2Request
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"isAuthorized": in.IdentitySource[0] == "Bearer good", "context": map[string]string{"tenant": "ten_a"}})
	}
	if f.err != nil {
		return nil, f.err
	}
	f.last = events.APIGatewayV2HTTPRequest{}
	if err := json.Unmarshal(payload, &f.last); err != nil {
		return nil, err
	}
	return json.Marshal(f.reply)
}

func call(t *testing.T, h http.Handler, method, target, key string, body io.Reader) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, body)
	if key != "" {
		r.Header.Set("Authorization", key)
	}
	r.Header.Add("X-Many", "1")
	r.Header.Add("X-Many", "2")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestAPIGatewaysOwnAnswersAreFixed(t *testing.T) {
	f := &functions{reply: &events.APIGatewayV2HTTPResponse{StatusCode: 200}}
	g := gateway.New(f, clock.System)
	for _, c := range []struct {
		method, path, key string
		status            int
		body              string
	}{
		{"GET", "/v1/tasks", "", 401, `{"message":"Unauthorized"}`},
		{"GET", "/v1/tasks", "Bearer bad", 403, `{"message":"Forbidden"}`},
		{"GET", "/nowhere", "Bearer good", 404, `{"message":"Not Found"}`},
		{"DELETE", "/v1/tasks", "Bearer good", 404, `{"message":"Not Found"}`},
	} {
		res := call(t, g, c.method, c.path, c.key, nil)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != c.status || strings.TrimSpace(string(body)) != c.body {
			t.Errorf("%s %s with %q: %d %s", c.method, c.path, c.key, res.StatusCode, body)
		}
	}
	if res := call(t, g, "POST", "/v1/tasks", "Bearer good", strings.NewReader(strings.Repeat("a", 10<<20+1))); res.StatusCode != 413 {
		t.Errorf("a body above 10 MB: %d", res.StatusCode)
	}
	f.err = errors.New("broken")
	if res := call(t, g, "GET", "/v1/tasks", "Bearer good", nil); res.StatusCode != 500 {
		t.Errorf("a function that fails: %d", res.StatusCode)
	}
}

func TestAnEventHasThePayloadFormat2(t *testing.T) {
	f := &functions{reply: &events.APIGatewayV2HTTPResponse{StatusCode: 201, Body: base64.StdEncoding.EncodeToString([]byte{0xff}), IsBase64Encoded: true,
		Headers: map[string]string{"x-a": "b"}, Cookies: []string{"c=d"}}}
	g := gateway.New(f, clock.System)
	res := call(t, g, "POST", "/v1/runs/run_x/cancel?a=1&a=2&b=%20", "Bearer good", strings.NewReader("\xff"))
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 201 || string(body) != "\xff" || res.Header.Get("X-A") != "b" || res.Header.Get("Set-Cookie") != "c=d" {
		t.Errorf("answer: %d %q %v", res.StatusCode, body, res.Header)
	}
	e := f.last
	if e.Version != "2.0" || e.RouteKey != "POST /v1/runs/{id}/cancel" || e.PathParameters["id"] != "run_x" || e.QueryStringParameters["a"] != "1,2" ||
		e.RawQueryString != "a=1&a=2&b=%20" || e.Headers["x-many"] != "1,2" || !e.IsBase64Encoded || e.Body != "/w==" ||
		e.RequestContext.Authorizer.Lambda["tenant"] != "ten_a" || e.RequestContext.HTTP.Method != "POST" || e.RequestContext.RequestID == "" {
		t.Errorf("event: %+v", e)
	}
	call(t, g, "GET", "/health", "", nil)
	if f.last.RequestContext.Authorizer != nil {
		t.Error("an open route has an authorizer's context")
	}
}

func TestAnswersAboutAPIKeysAreCachedForAMinuteAndAboutWorkersNever(t *testing.T) {
	f := &functions{reply: &events.APIGatewayV2HTTPResponse{StatusCode: 200}}
	c := clock.NewManual(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	g := gateway.New(f, c)
	for _, step := range []struct {
		path  string
		move  time.Duration
		asked int
	}{
		{"/v1/tasks", 0, 1},
		{"/v1/runs/run_x", 59 * time.Second, 1}, // one answer serves all routes
		{"/v1/tasks", time.Second, 2},
	} {
		c.Advance(step.move)
		call(t, g, "GET", step.path, "Bearer good", nil)
		if f.asked != step.asked {
			t.Errorf("%s: asked %d times, want %d", step.path, f.asked, step.asked)
		}
	}
	call(t, g, "POST", "/runner/v1/claim", "Bearer good", nil)
	call(t, g, "POST", "/runner/v1/claim", "Bearer good", nil)
	if f.asked != 4 {
		t.Errorf("workers' answers were cached: asked %d times", f.asked)
	}
}
