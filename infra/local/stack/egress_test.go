package stack_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// On a whole Outpost where one address of this machine may be reached and no
// other: a repository there that redirects to another address ends its run at
// once, with a reason that says so; one that is written as such an address is
// not even taken.
func TestARunGoesToNoPrivateAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	var reached atomic.Int64
	inner := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	inner.Listener.Close()
	inner.Listener = l
	inner.Start()
	t.Cleanup(inner.Close)
	var asked atomic.Int64
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, inner.URL+r.URL.String(), http.StatusFound)
	}))
	t.Cleanup(outer.Close)

	o := options(t, t.TempDir(), scriptedAgent(t, "true"), "http://127.0.0.1:9")
	settings := map[string]string{"OUTPOST_PRIVATE_ADDRESSES": "127.0.0.1/32"}
	for name, value := range o.Settings {
		settings[name] = value
	}
	o.Settings = settings
	w := start(t, o)
	body := func(base string) map[string]any {
		return map[string]any{"repo": base + "/acme/shop.git", "prompt": "Work.", "agents": []string{"codex"}}
	}
	if a := w.must(http.StatusUnprocessableEntity, "POST", "/v1/tasks", body(inner.URL)); !strings.Contains(string(a.body), "public address") {
		t.Errorf("%s", a.body)
	}
	run := w.completed(w.submit(body(outer.URL)).ID).Runs[0]
	if run.State != "failed" || run.reason() != "repository_unavailable" || !strings.Contains(run.Reason.Detail, "127.0.0.2 is not a public address") || run.Attempt != 1 {
		t.Errorf("%s %+v, attempt %d", run.State, run.Reason, run.Attempt)
	}
	if asked.Load() != 1 || reached.Load() != 0 {
		t.Errorf("%d requests at the repository's own address, %d at the private one", asked.Load(), reached.Load())
	}
}
