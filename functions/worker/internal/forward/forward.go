// Package forward is the way of git to the internet: a forward proxy on
// loopback, for as long as the worker fetches and no longer. Git hands it names;
// it looks them up and connects, by the policy of package egress, so that no
// name, redirect or second answer of a name server leads to an address that is
// not public. It serves whoever has its random credential: git alone.
package forward

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"outpost/shared/egress"
)

// Proxy is a running proxy.
type Proxy struct {
	dialer  *net.Dialer
	schemes []string
	address string
	// authorization is the header that git sends with the password.
	password, authorization string

	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	ctx       context.Context // ends with Close
	end       context.CancelFunc

	mu       sync.Mutex
	requests sync.WaitGroup // added to under mu, and not after the end
	failure  *Failure
}

// Failure is a connection that could not be made.
type Failure struct {
	Detail  string // for tenants
	Refused bool   // the address is not public; another try changes nothing
}

// user is the name in the proxy's credential.
const user = "outpost"

// Start starts a proxy on a loopback port that the kernel chooses. It serves
// URLs of those of the schemes that are http or https.
func Start(policy egress.Policy, schemes []string) (*Proxy, error) {
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("make the proxy's credential: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for git: %w", err)
	}
	p := &Proxy{listener: listener, dialer: policy.Dialer(), schemes: schemes, address: listener.Addr().String(), password: hex.EncodeToString(random)}
	p.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+p.password))
	p.ctx, p.end = context.WithCancel(context.Background())
	silent := log.New(io.Discard, "", 0)
	// In the clear, the proxy makes the request: as git wrote it, and once, so that
	// a redirect goes back to git and comes here again.
	p.transport = &http.Transport{Proxy: nil, DialContext: p.dial, DisableCompression: true}
	requests := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // its URL is whole
		Transport:     p.transport,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, err error) { w.WriteHeader(status(err)) },
		FlushInterval: -1,
		ErrorLog:      silent,
	}
	p.server = &http.Server{Handler: p.guard(requests), ReadHeaderTimeout: 10 * time.Second, ErrorLog: silent,
		BaseContext: func(net.Listener) context.Context { return p.ctx }}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// URL is the proxy's, with its credential.
func (p *Proxy) URL() string {
	u := url.URL{Scheme: "http", Host: p.address, User: url.UserPassword(user, p.password)}
	return u.String()
}

// Close ends the proxy with every connection through it, and waits for that.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.end()
	p.mu.Unlock()
	_ = p.listener.Close() // the server may not have got to it
	_ = p.server.Close()
	p.requests.Wait()
	p.transport.CloseIdleConnections()
}

// Failure returns the last connection that could not be made since it was asked
// for before; nil for none.
func (p *Proxy) Failure() *Failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.failure
	p.failure = nil
	return f
}

// begin counts a request in, until done is called; false: the proxy has ended.
func (p *Proxy) begin() (done func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, false
	}
	p.requests.Add(1)
	return p.requests.Done, true
}

// guard lets through what git may ask.
func (p *Proxy) guard(requests http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done, ok := p.begin()
		if !ok {
			return
		}
		defer done()
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(p.authorization)) != 1 {
			w.Header().Set("Proxy-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		switch {
		case r.Method == http.MethodConnect && slices.Contains(p.schemes, "https"):
			p.tunnel(w, r)
		case r.Method != http.MethodConnect && r.URL.Scheme == "http" && r.URL.Host != "" && r.Header.Get("Upgrade") == "" && slices.Contains(p.schemes, "http"):
			requests.ServeHTTP(w, r)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
}

// tunnel connects git with a host, for TLS between the two.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	host, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(status(err))
		return
	}
	defer host.Close()
	git, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer git.Close()
	defer context.AfterFunc(p.ctx, func() { git.Close(); host.Close() })()
	if _, err := io.WriteString(git, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(host, buffered) // what git sent too early first
		_ = host.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(git, host)
	git.Close()
	up.Wait()
}

// status tells git of a connection that could not be made.
func status(err error) int {
	if refused(err) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

func refused(err error) bool {
	var r *egress.Refusal
	return errors.As(err, &r)
}

// dial connects to a host by the policy, and keeps why it could not.
func (p *Proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.dialer.DialContext(ctx, network, address)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		host = address
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = &Failure{Detail: egress.Explain(strings.Trim(host, "[]"), err), Refused: refused(err)}
	return nil, err
}
