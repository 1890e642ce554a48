package stack_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/infra/local/guarantee"
	"outpost/infra/local/provider"
	"outpost/shared/secret"
)

// forms are those in which a secret is searched for: as it is, in hex, in a URL,
// and in base64 wherever it may begin.
func forms(secret string) map[string]string {
	found := map[string]string{"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL": url.QueryEscape(secret)}
	for shift := range 3 {
		padded := []byte(strings.Repeat("x", shift) + secret)
		padded = padded[:len(padded)/3*3] // whole groups
		from := (shift + 2) / 3 * 4       // behind what it shares with the padding
		found[fmt.Sprintf("base64 at %d", shift)] = base64.StdEncoding.EncodeToString(padded)[from:]
		found[fmt.Sprintf("base64 of URLs at %d", shift)] = base64.URLEncoding.EncodeToString(padded)[from:]
	}
	return found
}

// search fails for each of the secrets that a text holds in any form, and
// returns how many were found.
func search(t *testing.T, where, text string, secrets ...string) (found int) {
	t.Helper()
	for _, s := range secrets {
		for form, written := range forms(s) {
			if at := strings.Index(text, written); at >= 0 {
				found++
				t.Errorf("%s holds a secret in the form %s: …%s…", where, form, text[max(0, at-60):min(len(text), at+len(written)+60)])
			}
		}
	}
	return found
}

// files reads every file below a folder, by its path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGuaranteeNoKeyIsWrittenDown makes keys in every way there is, on a whole
// Outpost, and uses, rotates, revokes and breaks them. Then it reads every byte
// that Outpost has written to disk, the engine's database, objects, executions
// and logs among them, and looks for the keys.
func TestGuaranteeNoKeyIsWrittenDown(t *testing.T) {
	g := guarantee.For(t, "tenancy-6", "No key is in the table, the logs or any other file.")
	o := options(t, t.TempDir(), scriptedAgent(t, `echo changed >> a.txt`), "http://127.0.0.1:9")
	w := start(t, o)
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey}
	n := moveIn(w, operator, "heron-three", "OPENAI_API_KEY")
	keys := []string{n.key}
	made := func(a answer) (id string) {
		m := created(a)
		keys = append(keys, m.Secret)
		return m.ID
	}
	for i := range g.Pick(50, 3) {
		id := made(n.must(http.StatusCreated, "POST", "/v1/keys", map[string]any{"name": fmt.Sprint("ci ", i), "scopes": []string{"tasks:read"}}, "Idempotency-Key", fmt.Sprint("k", i)))
		used := &world{t: t, url: w.url, key: keys[len(keys)-1]}
		used.must(http.StatusOK, "GET", "/v1/tasks", nil)
		used.must(http.StatusForbidden, "POST", "/v1/keys", map[string]any{"name": "more", "scopes": []string{"tasks:read"}})
		used.must(http.StatusNotFound, "GET", "/v1/tasks/"+used.key, nil) // where an id should stand
		next := made(n.must(http.StatusCreated, "POST", "/v1/keys/"+id+"/rotate", nil))
		for _, id := range []string{id, next} {
			n.must(http.StatusOK, "DELETE", "/v1/keys/"+id, nil)
		}
		broken := &world{t: t, url: w.url, key: used.key[:30] + used.key[31:]}
		broken.must(http.StatusForbidden, "GET", "/v1/tasks", nil)
	}
	found, read, bytes := 0, 0, 0
	for path, content := range files(t, o.Dir) {
		if path == "demo.json" {
			continue // the local target's own keys, which make run shows
		}
		read++
		bytes += len(content)
		for _, key := range append(keys, w.Demo.APIKey, w.Demo.OperatorKey) {
			found += search(t, path, content, key[len("op_live_"):])
		}
	}
	if read < 10 || bytes < 100_000 {
		t.Errorf("only %d bytes in %d files were read", bytes, read)
	}
	g.Figure("keys", len(keys)+2)
	g.Figure("bytes read", fmt.Sprintf("%d in %d files", bytes, read))
	g.Figure("keys found", found)
}

// repeated is the scripted provider, with what it answered.
type repeated struct {
	provider.Provider
	mu   sync.Mutex
	said []string
}

func (r *repeated) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kept := httptest.NewRecorder()
	r.Provider.ServeHTTP(kept, req)
	r.mu.Lock()
	r.said = append(r.said, kept.Body.String())
	r.mu.Unlock()
	maps.Copy(w.Header(), kept.Header())
	w.WriteHeader(kept.Code)
	_, _ = w.Write(kept.Body.Bytes())
}

// with counts the answers that held a text.
func (r *repeated) with(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.said {
		if strings.Contains(s, text) {
			n++
		}
	}
	return n
}

// TestGuaranteeACanaryShowsUpNowhere sets a provider's key to a canary that is
// also in the prompt, in the commands, in the repository and in what the agent
// prints and writes: as it is, in hex, in base64, and in two pieces that come one
// after the other; a git token to another that no worker needs; and every other
// provider's key to a third, which a provider that is asked to check it refuses and
// repeats. The events, every artifact, the audit trail, the answers to checks and to
// requests that go wrong, the stored rows but those that are the tenant's own words,
// the objects, and the log with the metrics are searched for all in every form.
func TestGuaranteeACanaryShowsUpNowhere(t *testing.T) {
	g := guarantee.For(t, "tenancy-7", "A secret that is in every input is in no output.")
	canaries := []string{"canary+provider/0123456789abcdef", "canary-git-token-fedcba98765432", provider.Error401 + "-canary/checked+89abcdef01234567"}
	c := canaries[0]
	agent := fmt.Sprintf("echo says %s; echo '%s' >&2; printf %s | od -An -v -tx1 | tr -d ' \\n'; echo; printf x%s | base64 -w0; echo; printf %s; sleep 0.1; echo %s; echo %s >> a.txt",
		c, c, c, c, c[:len(c)/2], c[len(c)/2:], c)
	asked := &repeated{}
	scripted := httptest.NewServer(asked)
	t.Cleanup(scripted.Close)
	o := options(t, t.TempDir(), scriptedAgent(t, agent), scripted.URL)
	w := start(t, o)
	n := newTenant(w, &world{t: t, url: w.url, key: w.Demo.OperatorKey}, "osprey-four")
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": canaries[0]})
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/GIT_TOKEN", map[string]any{"value": canaries[1], "host": "git.example.com"})
	task := n.submit(map[string]any{"repo": repository(t, map[string]string{"a.txt": "a\n", "b.txt": c + "\n"}), "prompt": "Print " + c + ".",
		"agents": slices.Repeat([]string{"codex"}, g.Pick(10, 1)), "setup": "cat b.txt; echo " + c, "verify": "echo " + c})
	task = n.completed(task.ID)

	found, searched, metrics := 0, map[string]int{}, 0
	look := func(what, where, text string) {
		searched[what] += len(text)
		found += search(t, where, text, canaries...)
	}
	for _, r := range task.Runs {
		if r.State != "succeeded" {
			t.Errorf("run %s: %s %s", r.ID, r.State, r.reason())
		}
		look("events", "the events", string(n.must(http.StatusOK, "GET", "/v1/runs/"+r.ID+"/events", nil).body))
		for _, u := range urls(t, n.must(http.StatusOK, "GET", "/v1/runs/"+r.ID+"/artifacts", nil).body) {
			res, err := http.Get(u)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%d %v", res.StatusCode, err)
			}
			look("artifacts", "an artifact", string(content))
		}
	}
	look("audit", "the audit trail", string(n.must(http.StatusOK, "GET", "/v1/audit?limit=100", nil).body))
	for _, body := range []string{`{"value": "` + canaries[0] + `", "more": 1}`, `{"value": "` + canaries[0] + ` "}`, `{"value": ` + canaries[0], `{"value": "` + canaries[1] + `", "host": "` + canaries[1] + `"}`} {
		a, err := n.call("PUT", "/v1/secrets/OPENAI_API_KEY", body)
		if err != nil || a.status < 400 || a.status >= 500 {
			t.Errorf("%d %s %v", a.status, a.body, err)
		}
		look("errors", "a refusal", string(a.body))
	}
	for _, name := range secret.Names() {
		if name == secret.GitToken {
			a := n.must(http.StatusUnprocessableEntity, "POST", "/v1/secrets/"+name+"/check", nil)
			look("errors", "a refused check", string(a.body))
			continue
		}
		if name != "OPENAI_API_KEY" {
			n.must(http.StatusNoContent, "PUT", "/v1/secrets/"+name, map[string]any{"value": canaries[2]})
		}
		a := n.must(http.StatusOK, "POST", "/v1/secrets/"+name+"/check", nil)
		if want := `"state":"refused"`; name != "OPENAI_API_KEY" && !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", name, a.body)
		}
		look("checks", "a check of "+name, string(a.body))
	}
	if n := asked.with(canaries[2]); n != len(secret.Names())-2 {
		t.Errorf("%d providers repeated the key: the search of checks would find nothing", n)
	}
	look("audit", "the audit trail after the checks", string(n.must(http.StatusOK, "GET", "/v1/audit?limit=100", nil).body))
	look("secrets", "the list of secrets", string(n.must(http.StatusOK, "GET", "/v1/secrets", nil).body))
	for key, row := range rows(t, w, n.tenant) {
		if !strings.Contains(key, " PROMPT#") && !strings.Contains(key, " TASK#") { // the tenant's own words
			look("rows", key, row)
		}
	}
	for path, content := range files(t, o.Dir) {
		if path == "outpost.log" {
			metrics = strings.Count(content, `"CloudWatchMetrics"`)
		}
		if path == "outpost.log" || strings.HasPrefix(path, "secretsmanager/") || strings.HasPrefix(path, "s3/") || strings.HasPrefix(path, "executions/") || strings.HasPrefix(path, "ecs/") {
			look("files", path, content)
		}
	}
	for _, what := range []string{"events", "artifacts", "audit", "errors", "checks", "rows", "files"} {
		if searched[what] < 100 {
			t.Errorf("only %d bytes of %s were searched", searched[what], what)
		}
		g.Figure("bytes of "+what+" searched", searched[what])
	}
	if metrics == 0 {
		t.Error("the log has no metrics: none were searched")
	}
	g.Figure("metrics among them", metrics)
	g.Figure("canaries", len(canaries))
	g.Figure("found", found)
}
