package forward_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"outpost/functions/worker/internal/forward"
	"outpost/shared/egress"
)

var local = egress.Policy{Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func start(t *testing.T, policy egress.Policy, schemes ...string) (*forward.Proxy, *url.URL) {
	t.Helper()
	p, err := forward.Start(policy, schemes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	u, err := url.Parse(p.URL())
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Fatalf("%s, %v", u.Redacted(), err)
	}
	return p, u
}

// raw sends a request as it is, with the credential, and returns the status.
func raw(t *testing.T, u *url.URL, request string) (status int, c net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	password, _ := u.User.Password()
	credential := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
	if _, err := fmt.Fprintf(c, "%s\r\nHost: x\r\nProxy-Authorization: Basic %s\r\n\r\n", request, credential); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return r.StatusCode, c
}

func TestOnlyTheSchemesThatAreAllowedPass(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the host sees the proxy's credential")
		}
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer host.Close()
	at := strings.TrimPrefix(host.URL, "http://")
	for _, c := range []struct {
		why, request string
		schemes      []string
		status       int
	}{
		{"a tunnel", "CONNECT " + at + " HTTP/1.1", []string{"https"}, 200},
		{"a tunnel without https", "CONNECT " + at + " HTTP/1.1", []string{"http", "file"}, 403},
		{"a request in the clear", "GET http://" + at + "/ HTTP/1.1", []string{"http"}, 200},
		{"a request in the clear without http", "GET http://" + at + "/ HTTP/1.1", []string{"https"}, 403},
		{"a request of the proxy itself", "GET / HTTP/1.1", []string{"http", "https"}, 403},
		{"a request over TLS by the proxy", "GET https://" + at + "/ HTTP/1.1", []string{"http", "https"}, 403},
		{"an upgrade", "GET http://" + at + "/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", []string{"http"}, 403},
		{"a file", "GET file:///etc/passwd HTTP/1.1", []string{"http", "https", "file"}, 403},
		{"a tunnel to nothing", "CONNECT nothing HTTP/1.1", []string{"https"}, 502},
	} {
		_, u := start(t, local, c.schemes...)
		if got, _ := raw(t, u, c.request); got != c.status {
			t.Errorf("%s: %d, want %d", c.why, got, c.status)
		}
	}
}

func TestWhatCouldNotBeReachedIsToldOnce(t *testing.T) {
	p, u := start(t, egress.Policy{}, "https", "http")
	for _, request := range []string{"CONNECT 127.0.0.1:443 HTTP/1.1", "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1", "CONNECT [::1]:443 HTTP/1.1"} {
		if status, _ := raw(t, u, request); status != http.StatusForbidden {
			t.Errorf("%s: %d", request, status)
		}
		if f := p.Failure(); f == nil || !f.Refused || !strings.Contains(f.Detail, "is not a public address") {
			t.Errorf("%s: %+v", request, f)
		}
		if f := p.Failure(); f != nil {
			t.Errorf("told again: %+v", f)
		}
	}
}

// A tunnel is open, and bytes have come through it both ways; Close ends it, and
// every other, however many there are.
func TestCloseEndsEveryTunnel(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	const tunnels = 20
	ended := make(chan bool, tunnels)
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
				ended <- true
			}()
		}
	}()
	p, u := start(t, local, "https")
	var open []net.Conn
	for range tunnels {
		status, c := raw(t, u, "CONNECT "+echo.Addr().String()+" HTTP/1.1")
		if status != http.StatusOK {
			t.Fatal(status)
		}
		word := make([]byte, 5)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, word); err != nil || string(word) != "hello" {
			t.Fatalf("%s %v", word, err)
		}
		open = append(open, c)
	}
	p.Close()
	for range tunnels { // the far ends are gone too
		<-ended
	}
	for _, c := range open {
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes through a tunnel that was closed", n)
		}
	}
	if c, err := net.Dial("tcp", u.Host); err == nil {
		c.Close()
		t.Error("the proxy still listens")
	}
	p.Close() // the second time
}

// Whoever comes while the proxy ends is served or not; nothing is left of it.
func TestCloseMayComeAtAnyTime(t *testing.T) {
	host := httptest.NewServer(http.NotFoundHandler())
	defer host.Close()
	for range 20 {
		p, u := start(t, local, "http", "https")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u), DisableKeepAlives: true}}
				target := host.URL
				if i%2 == 0 {
					target = strings.Replace(host.URL, "http:", "https:", 1)
				}
				if res, err := client.Get(target); err == nil {
					res.Body.Close()
				}
			})
		}
		p.Close()
		all.Wait()
	}
}
