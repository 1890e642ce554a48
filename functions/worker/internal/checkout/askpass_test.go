package checkout_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
	"outpost/shared/runner"
	"outpost/shared/task"
)

func TestMain(m *testing.M) {
	if answer, asked := checkout.Answer(os.Args, os.Getenv); asked {
		fmt.Println(answer)
		return
	}
	os.Exit(m.Run())
}

// token is built here so that no scanner takes it for a real one.
var token = "git-" + strings.Repeat("T0", 10)

// host is a git host that wants a token, or sends its visitors elsewhere.
type host struct {
	*httptest.Server
	seen     []string // passwords that came
	redirect string
}

func newHost(t *testing.T) *host {
	h := &host{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); ok {
			h.seen = append(h.seen, user+":"+password)
		}
		switch {
		case h.redirect != "":
			http.Redirect(w, r, h.redirect+r.URL.String(), http.StatusFound)
		case len(h.seen) == 0:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			// One branch, in the dumb protocol: enough to see that the token was taken.
			_, _ = fmt.Fprintf(w, "%x\trefs/heads/main\n", sha1.Sum(nil))
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *host) name() string { return strings.TrimPrefix(h.URL, "http://") }

func fetch(t *testing.T, src runner.Checkout) (dir string, err error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	f := &checkout.Fetcher{Git: &git.Git{Path: os.Getenv("PATH"), Dir: dir}, Clock: clock.System, Askpass: program}
	src.Schemes, src.PrivateAddresses = []string{"http"}, []string{"127.0.0.0/8"}
	_, _, err = f.Fetch(t.Context(), src, filepath.Join(dir, "fetched"))
	return dir, err
}

func TestTheTokenGoesToItsHostAlone(t *testing.T) {
	own, other := newHost(t), newHost(t)

	dir, err := fetch(t, runner.Checkout{Repo: own.URL + "/a/b", Ref: "no-such", GitHost: own.name(), GitToken: token})
	var failure *outcome.Failure
	if !errors.As(err, &failure) || failure.Reason != task.ReasonRefNotFound {
		t.Errorf("with the token: %v, want that the refs were read", err)
	}
	if len(own.seen) == 0 || own.seen[0] != "x-access-token:"+token {
		t.Errorf("its host saw %q", own.seen)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "askpass*")); err != nil || len(left) > 0 {
		t.Errorf("the token is left in %v, %v", left, err)
	}

	if _, err := fetch(t, runner.Checkout{Repo: other.URL + "/a/b", GitHost: own.name(), GitToken: token}); !errors.As(err, &failure) ||
		failure.Reason != task.ReasonRepositoryUnavailable || !strings.Contains(failure.Detail, "token") {
		t.Errorf("another host: %v", err)
	}
	before := len(own.seen)
	own.redirect, own.seen = other.URL, nil
	if _, err := fetch(t, runner.Checkout{Repo: own.URL + "/a/b", GitHost: own.name(), GitToken: token}); err == nil {
		t.Error("a redirect to another host was followed to its end")
	}
	if len(other.seen) > 0 || before == 0 {
		t.Errorf("another host saw %q", other.seen)
	}
}

func TestAnswerIsPinned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(`{"scheme":"https","host":"git.example.com","token":"`+token+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"OUTPOST_ASKPASS": path}[name] }
	for _, c := range []struct{ why, prompt, want string }{
		{"the name", "Username for 'https://git.example.com': ", "x-access-token"},
		{"the password", "Password for 'https://x-access-token@git.example.com': ", token},
		{"another host", "Password for 'https://x@evil.example.com': ", ""},
		{"a host that begins alike", "Password for 'https://x@git.example.com.evil.org': ", ""},
		{"another port", "Password for 'https://x@git.example.com:8443': ", ""},
		{"in the clear", "Password for 'http://x@git.example.com': ", ""},
		{"the host as a name", "Password for 'https://git.example.com@evil.example.com': ", ""},
		{"another question", "Are you sure? ", ""},
	} {
		if got, asked := checkout.Answer([]string{"worker", c.prompt}, env); !asked || got != c.want {
			t.Errorf("%s: %q, %v", c.why, got, asked)
		}
	}
	if _, asked := checkout.Answer([]string{"worker"}, func(string) string { return "" }); asked {
		t.Error("an ordinary start was taken for a question")
	}
}
