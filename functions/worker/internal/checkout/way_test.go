package checkout_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
	"outpost/shared/egress/egresstest"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// Two places on loopback. What may be reached stands for a public host, the
// other for everything else.
const (
	public  = "127.0.0.1"
	private = "127.0.0.2"
)

// server is a git server with one repository, over TLS unless it is plain.
type server struct {
	*httptest.Server
	port     string
	came     atomic.Int64 // connections
	token    string       // wanted, if not empty
	redirect func(*http.Request) string

	mu   sync.Mutex
	seen []string // passwords
}

func serve(t *testing.T, address string, plain bool) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	work := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main", work}, {"-C", work, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "first"},
		{"clone", "-q", "--bare", work, dir}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1"}}
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, authenticated := r.BasicAuth()
		s.mu.Lock()
		if authenticated {
			s.seen = append(s.seen, password)
		}
		s.mu.Unlock()
		if s.token != "" && password != s.token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if s.redirect != nil {
			if to := s.redirect(r); to != "" {
				http.Redirect(w, r, to, http.StatusFound)
				return
			}
		}
		backend.ServeHTTP(w, r)
	}))
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = l
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.came.Add(1)
		}
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	if plain {
		s.Start()
	} else {
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s
}

// at is the repository's URL by a name of the host.
func (s *server) at(host string) string {
	u, _ := url.Parse(s.URL)
	return u.Scheme + "://" + net.JoinHostPort(host, s.port) + "/repo.git"
}

// waits counts how often something waited to try again; nobody waits.
type waits struct {
	clock.Clock
	n atomic.Int64
}

func (w *waits) After(time.Duration) <-chan time.Time {
	w.n.Add(1)
	c := make(chan time.Time, 1)
	c <- w.Now()
	return c
}

// client fetches as the worker does, with a git that trusts the test's servers.
type client struct {
	t     *testing.T
	dir   string
	env   string // file to which git's environment goes
	clock *waits
	*checkout.Fetcher
}

func newClient(t *testing.T, names *net.Resolver, servers ...*server) *client {
	t.Helper()
	c := &client{t: t, dir: filepath.Join(t.TempDir(), "scratch", "git"), env: filepath.Join(t.TempDir(), "env"), clock: &waits{Clock: clock.System}}
	bin := t.TempDir()
	var authorities []byte
	for _, s := range servers {
		if s.Certificate() != nil {
			authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...)
		}
	}
	authority, real := filepath.Join(bin, "ca.pem"), path(t, "git")
	script := "#!/bin/sh\nenv >> " + c.env + "\nGIT_SSL_CAINFO=" + authority + " exec " + real + ` "$@"` + "\n"
	for _, err := range []error{os.MkdirAll(c.dir, 0o700), os.WriteFile(authority, authorities, 0o600), os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Fetcher = &checkout.Fetcher{Git: &git.Git{Path: bin + ":" + os.Getenv("PATH"), Dir: c.dir}, Clock: c.clock, Askpass: program, Resolver: names}
	return c
}

func path(t *testing.T, program string) string {
	t.Helper()
	p, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *client) fetch(src runner.Checkout) (*checkout.Repository, error) {
	c.t.Helper()
	if src.Schemes == nil {
		src.Schemes = []string{"https", "http"}
	}
	if src.PrivateAddresses == nil {
		src.PrivateAddresses = []string{public + "/32"}
	}
	r, _, err := c.Fetch(c.t.Context(), src, filepath.Join(c.t.TempDir(), "fetched"))
	return r, err
}

// refused wants a fetch that failed once and for all, with that in its detail.
func (c *client) refused(err error, detail string) {
	c.t.Helper()
	var f *outcome.Failure
	if !errors.As(err, &f) || f.Reason != task.ReasonRepositoryUnavailable || !strings.Contains(f.Detail, detail) {
		c.t.Errorf("%v, want %q", err, detail)
	}
	if err != nil && strings.Contains(err.Error(), private) && !strings.Contains(detail, private) {
		c.t.Errorf("it tells an address: %v", err)
	}
	if n := c.clock.n.Load(); n != 0 {
		c.t.Errorf("it was tried again %d times", n)
	}
}

func (s *server) untouched(t *testing.T) {
	t.Helper()
	if n := s.came.Load(); n != 0 {
		t.Errorf("%d connections reached the private address", n)
	}
	if len(s.seen) > 0 {
		t.Errorf("a token reached the private address")
	}
}

// The name is known to the test's resolver alone: git looks nothing up itself.
func TestARepositoryIsFetchedThroughTheProxy(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s := serve(t, public, plain)
		s.token = token
		c := newClient(t, egresstest.Fixed(map[string]string{"git.example.com": public}), s)
		host := "git.example.com:" + s.port
		r, err := c.fetch(runner.Checkout{Repo: s.at("git.example.com"), GitHost: host, GitToken: token})
		if err != nil || r == nil {
			t.Fatalf("%v", err)
		}
		if s.came.Load() == 0 || len(s.seen) == 0 {
			t.Errorf("%d connections, %d with the token", s.came.Load(), len(s.seen))
		}
	}
}

func TestAPrivateAddressIsNotReached(t *testing.T) {
	names := egresstest.Fixed(map[string]string{"inner.example.com": private, "mapped.example.com": "::ffff:" + private, "meta.example.com": "169.254.169.254", "ula.example.com": "fd00:ec2::254"})
	for _, plain := range []bool{false, true} {
		s := serve(t, private, plain)
		for host, detail := range map[string]string{
			private: private + " is not a public address", "::1": "::1 is not a public address", "::ffff:" + private: private + " is not a public address",
			"169.254.169.254":   "169.254.169.254 is not a public address",
			"inner.example.com": "the host inner.example.com resolves to an address that is not public", "mapped.example.com": "not public",
			"meta.example.com": "not public", "ula.example.com": "not public", "127.2": "", "2130706434": "", "0x7f000002": "", // no names of hosts
		} {
			c := newClient(t, names, s)
			_, err := c.fetch(runner.Checkout{Repo: s.at(host), GitHost: host + ":" + s.port, GitToken: token})
			if detail != "" {
				c.refused(err, detail)
			} else if err == nil {
				t.Errorf("%s was fetched", host)
			}
		}
		s.untouched(t)
	}
}

func TestARedirectToAPrivateAddressIsNotFollowed(t *testing.T) {
	for _, plain := range []bool{false, true} {
		inner, outer := serve(t, private, plain), serve(t, public, plain)
		names := egresstest.Fixed(map[string]string{"git.example.com": public, "inner.example.com": private})
		for to, detail := range map[string]string{inner.at("inner.example.com"): "the host inner.example.com resolves to an address that is not public", inner.at(private): private + " is not a public address"} {
			outer.redirect = func(r *http.Request) string {
				return strings.TrimSuffix(to, "/repo.git") + r.URL.String()
			}
			for _, wanted := range []string{"", token} { // at once, and after the host has the token
				outer.token = wanted
				c := newClient(t, names, inner, outer)
				_, err := c.fetch(runner.Checkout{Repo: outer.at("git.example.com"), GitHost: "git.example.com:" + outer.port, GitToken: token})
				c.refused(err, detail)
			}
		}
		inner.untouched(t)
	}
}

// The name is public for the list of refs and private for the objects.
func TestANameThatIsReboundIsRefused(t *testing.T) {
	for _, plain := range []bool{false, true} {
		inner, outer := serve(t, private, plain), serve(t, public, plain)
		asked := 0
		names := egresstest.Resolver(func(_ string, v6 bool) []netip.Addr {
			if v6 {
				return nil
			}
			if asked++; asked == 1 {
				return []netip.Addr{netip.MustParseAddr(public)}
			}
			return []netip.Addr{netip.MustParseAddr(private)}
		})
		c := newClient(t, names, inner, outer)
		_, err := c.fetch(runner.Checkout{Repo: outer.at("git.example.com")})
		if plain && outer.came.Load() > 0 && err == nil {
			continue // the proxy had a connection left to the public address
		}
		c.refused(err, "resolves to an address that is not public")
		inner.untouched(t)
		if outer.came.Load() == 0 {
			t.Error("the list of refs did not come from the public address")
		}
	}
}

// A host that is away for a moment is tried again, one that stays away is told as
// such, and not as git saw it.
func TestAHostThatIsAwayIsTriedAgain(t *testing.T) {
	s := serve(t, public, false)
	asked := 0
	names := egresstest.Resolver(func(name string, v6 bool) []netip.Addr {
		if v6 || name != "git.example.com" {
			return nil
		}
		if asked++; asked == 1 {
			return nil
		}
		return []netip.Addr{netip.MustParseAddr(public)}
	})
	c := newClient(t, names, s)
	if _, err := c.fetch(runner.Checkout{Repo: s.at("git.example.com")}); err != nil || c.clock.n.Load() != 1 {
		t.Errorf("%v after %d waits", err, c.clock.n.Load())
	}

	l, err := net.Listen("tcp", public+":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for repo, detail := range map[string]string{
		s.at("away.example.com"):                     "the host away.example.com is not known",
		"https://" + l.Addr().String() + "/repo.git": "the host " + public + " refused the connection",
	} {
		c := newClient(t, names, s)
		_, err := c.fetch(runner.Checkout{Repo: repo})
		var f *outcome.Failure
		if !errors.As(err, &f) || f.Reason != task.ReasonRepositoryUnavailable || f.Detail != detail {
			t.Errorf("%v, want %q", err, detail)
		}
		if n := c.clock.n.Load(); n != 2 {
			t.Errorf("%s: %d waits", repo, n)
		}
	}
}

func TestNothingAroundGitLeadsPastTheProxy(t *testing.T) {
	s := serve(t, private, false)
	for _, name := range []string{"no_proxy", "NO_PROXY"} {
		t.Setenv(name, "*")
	}
	for _, name := range []string{"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+private+":"+s.port)
	}
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "http.proxy")
	t.Setenv("GIT_CONFIG_VALUE_0", "")
	hostile := "[http]\n\tproxy =\n\tcurloptResolve = inner.example.com:" + s.port + ":" + private + "\n[http \"https://inner.example.com\"]\n\tproxy =\n[remote \"" +
		s.at("inner.example.com") + "\"]\n\tproxy =\n\turl = " + s.at(private) + "\n[url \"" + s.at(private) + "\"]\n\tinsteadOf = " + s.at("inner.example.com") + "\n"
	c := newClient(t, egresstest.Fixed(map[string]string{"inner.example.com": private}), s)
	around := filepath.Dir(c.dir)
	if out, err := exec.Command("git", "init", "-q", around).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, file := range []string{filepath.Join(around, ".git", "config"), filepath.Join(c.dir, ".gitconfig"), filepath.Join(c.dir, ".config", "git", "config")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("[core]\n\trepositoryformatversion = 0\n"+hostile), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.fetch(runner.Checkout{Repo: s.at("inner.example.com")})
	c.refused(err, "the host inner.example.com resolves to an address that is not public")
	s.untouched(t)
}

func TestOnlySchemesWithAWayAreFetched(t *testing.T) {
	c := newClient(t, nil)
	for _, repo := range []string{"git://" + private + "/a/b", "ssh://" + private + "/a/b", "ftp://" + private + "/a/b"} {
		scheme, _, _ := strings.Cut(repo, ":")
		_, err := c.fetch(runner.Checkout{Repo: repo, Schemes: []string{"https", scheme}})
		c.refused(err, fmt.Sprintf("the scheme %q is not allowed", scheme))
	}
	if _, err := c.fetch(runner.Checkout{Repo: "https://git.example.com/a/b", PrivateAddresses: []string{"everything"}}); err == nil || !strings.Contains(err.Error(), "everything") {
		t.Errorf("%v", err)
	}
}

// When Fetch returns, nothing listens any more where git found its proxy, and no
// connection through it is left; while it runs, it is on loopback and wants a
// credential that nobody else knows.
func TestTheProxyIsGoneWithTheFetch(t *testing.T) {
	s := serve(t, public, false)
	c := newClient(t, egresstest.Fixed(map[string]string{"git.example.com": public}), s)
	asked := 0
	s.redirect = func(*http.Request) string { // called while git waits for an answer
		if asked++; asked > 1 {
			return ""
		}
		proxy := c.proxy()
		if proxy.Hostname() != "127.0.0.1" || proxy.User == nil {
			t.Errorf("the proxy is %s", proxy.Redacted())
			return ""
		}
		for why, user := range map[string]*url.Userinfo{"none": nil, "a wrong one": url.UserPassword("outpost", "guess"), "half of it": url.UserPassword("outpost", "")} {
			stranger := *proxy
			stranger.User = user
			transport := &http.Transport{Proxy: http.ProxyURL(&stranger)}
			res, err := (&http.Client{Transport: transport}).Get("http://git.example.com:" + s.port + "/")
			if err != nil || res.StatusCode != http.StatusProxyAuthRequired {
				t.Errorf("with the credential %s: %v %v", why, res, err)
			}
			if _, err := (&http.Client{Transport: transport}).Get(s.at("git.example.com")); err == nil {
				t.Errorf("a tunnel with the credential %s", why)
			}
			transport.CloseIdleConnections()
		}
		return ""
	}
	if _, err := c.fetch(runner.Checkout{Repo: s.at("git.example.com")}); err != nil {
		t.Fatal(err)
	}
	if asked == 0 {
		t.Fatal("the server was never asked")
	}
	if conn, err := net.Dial("tcp", c.proxy().Host); err == nil {
		conn.Close()
		t.Error("the proxy is still there")
	}
}

// proxy is the one that git was told of last.
func (c *client) proxy() *url.URL {
	c.t.Helper()
	env, err := os.ReadFile(c.env)
	if err != nil {
		c.t.Error(err)
		return &url.URL{}
	}
	var last *url.URL
	for line := range strings.Lines(string(env)) {
		if _, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(value, "http://outpost:") {
			last, _ = url.Parse(value)
		}
	}
	if last == nil {
		c.t.Error("git was told of no proxy")
		return &url.URL{}
	}
	return last
}
