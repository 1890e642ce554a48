// Package proxy stands between an agent and its provider. The agent knows a
// local address and a key that is good nowhere else; the proxy checks that key,
// puts the tenant's in its place, lets through only the provider's calls that
// agents need, counts tokens from the answers themselves, and stops at the
// budget. Answers are passed on as they come. What the provider refused is
// remembered: it tells why an agent failed better than the agent does.
package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"outpost/shared/redact"
	"outpost/shared/runner"
)

// maxRequest is the largest request body of an agent, in bytes.
const maxRequest = 32 << 20

// Config is what a proxy needs.
type Config struct {
	Provider  runner.Provider
	Model     string  // of the run; requests may name another
	BudgetUSD float64 // 0 means none
	SpentUSD  float64 // of it, before
	Scrubber  *redact.Scrubber
	// Stop is called once when going on is pointless: the budget is used up, or
	// the provider refuses or cannot be reached again and again. Verdict tells
	// which.
	Stop func()
}

// Proxy is a running proxy.
type Proxy struct {
	config Config
	base   *url.URL
	kind   kind
	key    string // the agent's
	meter  *meter
	server *http.Server
	addr   string
}

// Start starts a proxy on a loopback port that the kernel chooses.
func Start(c Config) (*Proxy, error) {
	k, ok := kinds[c.Provider.Name]
	if !ok {
		return nil, fmt.Errorf("unknown provider %q", c.Provider.Name)
	}
	base, err := url.Parse(c.Provider.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("the base URL of %s is no HTTP URL", c.Provider.Name)
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("make the agent's key: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the agent: %w", err)
	}
	p := &Proxy{config: c, base: base, kind: k, key: "outpost-" + hex.EncodeToString(random), addr: listener.Addr().String()}
	p.meter = newMeter(c)
	forward := &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		ModifyResponse: p.answer,
		ErrorHandler:   p.unreachable,
		FlushInterval:  -1, // at once
		ErrorLog:       log.New(io.Discard, "", 0),
		Transport: &http.Transport{
			Proxy:               nil, // what the environment says is not ours
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 4,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		},
	}
	p.server = &http.Server{Handler: p.guard(forward), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// URL is the agent's base URL, without a path.
func (p *Proxy) URL() string { return "http://" + p.addr }

// Key is the agent's key, good only here.
func (p *Proxy) Key() string { return p.key }

// Close ends the proxy and every call in it.
func (p *Proxy) Close() error { return p.server.Close() }

// call is what is known of a request while it is under way.
type call struct {
	model string
	ask   bool // it asks a model, so its outcome counts
}

type callKey struct{}

// guard lets through what the agent may ask.
func (p *Proxy) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.authentic(r) {
			p.refuse(w, http.StatusUnauthorized, "This address serves one agent, by its own key.")
			return
		}
		if r.Header.Get("Upgrade") != "" {
			// Agents fall back to plain HTTP at once on this.
			p.refuse(w, http.StatusUpgradeRequired, "No upgrades here.")
			return
		}
		if !p.kind.allows(r.Method, r.URL) {
			// Not 403: grok takes that for a bad key.
			p.refuse(w, http.StatusNotFound, "This call is not let through to the provider.")
			return
		}
		if p.meter.overBudget() {
			p.meter.stop(verdictBudget)
			p.refuse(w, http.StatusPaymentRequired, "The budget of this run is used up.")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				p.refuse(w, http.StatusRequestEntityTooLarge, "The request is larger than 32 MiB.")
			}
			return
		}
		body, model := p.kind.inspect(r, body)
		if model == "" {
			model = p.config.Model
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		c := call{model: model, ask: r.Method == http.MethodPost}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// authentic tells whether the request bears the agent's key, in any of the
// places where agents put keys. Another run's agent may share this machine.
func (p *Proxy) authentic(r *http.Request) bool {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, given := range []string{bearer, r.Header.Get("X-Api-Key"), r.Header.Get("X-Goog-Api-Key"), r.URL.Query().Get("key")} {
		if subtle.ConstantTimeCompare([]byte(given), []byte(p.key)) == 1 {
			return true
		}
	}
	return false
}

// rewrite turns the agent's request into the tenant's.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.base)
	query := r.Out.URL.Query()
	query.Del("key")
	r.Out.URL.RawQuery = query.Encode()
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Cookie", "Proxy-Authorization", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		r.Out.Header.Del(name)
	}
	r.Out.Header.Set("Accept-Encoding", "identity") // so that the tokens can be read
	p.kind.authorize(r.Out.Header, p.config.Provider.Key)
}

// answer looks at what the provider answers, as it passes.
func (p *Proxy) answer(resp *http.Response) error {
	c, _ := resp.Request.Context().Value(callKey{}).(call)
	resp.Header.Del("Set-Cookie")
	if resp.StatusCode >= 400 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
		if err != nil && len(body) == 0 {
			return err
		}
		_ = resp.Body.Close()
		// Providers repeat parts of what they were sent, and this goes to the agent.
		clean := p.config.Scrubber.String(string(body))
		resp.Body = io.NopCloser(strings.NewReader(clean))
		resp.ContentLength = int64(len(clean))
		resp.Header.Set("Content-Length", fmt.Sprint(len(clean)))
		if c.ask || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			p.meter.refused(resp.StatusCode, message(body))
		}
		return nil
	}
	if c.ask {
		resp.Body = p.meter.watch(resp, c.model)
	}
	return nil
}

// maxError is how much of a provider's error is read, in bytes.
const maxError = 64 << 10

// unreachable answers for a provider that does not.
func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the agent has gone
	}
	p.meter.unreachable(err)
	p.refuse(w, http.StatusBadGateway, "The provider cannot be reached.")
}

// refuse answers in the provider's own form.
func (p *Proxy) refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(p.kind.problem(status, text))
}
