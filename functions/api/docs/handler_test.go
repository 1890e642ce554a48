package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outpost/shared/api/apitest"
	"outpost/shared/contract"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

func page(t *testing.T) string {
	a := apitest.Serve(t, "GET", "/docs", handler{}.page).Call(nil, apitest.Request{})
	if a.Status != 200 || !strings.HasPrefix(a.Header["Content-Type"], "text/html") {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	return string(a.Body)
}

func TestTheContractIsServedAsItIs(t *testing.T) {
	a := apitest.Serve(t, "GET", "/openapi.yaml", handler{}.contract).Call(nil, apitest.Request{})
	if a.Status != 200 || !bytes.Equal(a.Body, contract.YAML) {
		t.Errorf("%d, %d bytes", a.Status, len(a.Body))
	}
}

func TestThePageTellsEveryRouteProblemAndReason(t *testing.T) {
	body := page(t)
	for _, r := range topology.Routes {
		if shown := strings.Contains(body, "<code>"+r.Path+"</code>"); shown == (r.Authorizer == topology.ByRunner) {
			t.Errorf("%s: shown is %v", r.Path, shown)
		}
	}
	for _, c := range problem.Codes() {
		if !strings.Contains(body, `id="problem-`+string(c.Code)+`"`) {
			t.Errorf("no row for %s, where a problem's type points", c.Code)
		}
	}
	for _, r := range task.Reasons() {
		if !strings.Contains(body, "<code>"+string(r.Code)+"</code>") {
			t.Errorf("no row for %s", r.Code)
		}
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	if found := regexp.MustCompile(`(?i)<(link|img|iframe|object|embed)|url\(|@import|\bsrc=`).FindString(page(t)); found != "" {
		t.Errorf("the page has %q", found)
	}
}

func TestThePageRunsItsOwnScriptAndNothingElse(t *testing.T) {
	a := apitest.Serve(t, "GET", "/docs", handler{}.page).Call(nil, apitest.Request{})
	body, policy := string(a.Body), a.Header["Content-Security-Policy"]
	for _, tag := range []string{"script", "style"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(found) != 1 || !strings.Contains(policy, tag+"-src "+hash(found[0][1])+";") {
			t.Errorf("%d times <%s>, and the policy is %s", len(found), tag, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || regexp.MustCompile(`(?i) on[a-z]+=| style=|javascript:`).MatchString(body) {
		t.Errorf("the page needs what its policy forbids: %s", policy)
	}
}

func TestEveryOperationCanBeTried(t *testing.T) {
	body := page(t)
	for _, r := range topology.Routes {
		form := `<form class="try" data-verb="` + r.Method + `" data-path="` + r.Path + `" hidden>`
		if has := strings.Contains(body, form); has == (r.Authorizer == topology.ByRunner) {
			t.Errorf("%s %s: can be tried is %v", r.Method, r.Path, has)
		}
		op, err := contract.Load(r.Method, r.Path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(body, form)
		inner, _, _ := strings.Cut(rest, "</form>")
		for _, p := range op.Parameters {
			if inner != "" && !strings.Contains(inner, `name="`+p.Name+`" data-place="`+p.In+`"`) {
				t.Errorf("%s %s has no place for %s", r.Method, r.Path, p.Name)
			}
		}
		if inner != "" && op.BodyRequired != strings.Contains(inner, "<textarea") && op.BodyRequired {
			t.Errorf("%s %s has no place for its body", r.Method, r.Path)
		}
	}
}

func TestProseIsEscaped(t *testing.T) {
	if got := prose("a < b & `<script>` \"c\""); got != "a &lt; b &amp; <code>&lt;script&gt;</code> &#34;c&#34;" {
		t.Error(got)
	}
}

// The script's own parts are tried by Node; what touches the page is thin.
func TestTheScriptMakesTheCallsThatWereTyped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "test.js")
	if err := os.WriteFile(file, []byte(script+`
const assert = require("node:assert");
const op = (method, path) => ({ method, path });
const v = (place, name, value) => ({ place, name, value });
let c = request(op("GET", "/v1/tasks/{id}"), [v("path", "id", "a/../b?c"), v("query", "include", "queue"), v("query", "limit", "")], "", "k");
assert.equal(c.url, "/v1/tasks/a%2F..%2Fb%3Fc?include=queue");
assert.deepEqual(c.init.headers, { Authorization: "Bearer k" });
assert.equal(c.init.credentials, "omit");
assert.ok(!("body" in c.init));
(async () => {
  const asked = [];
  globalThis.fetch = async (url, init) => { asked.push([url, init]); if (asked.length > 1) throw new TypeError("gone"); return new Response('{"ok":1}', { status: 202 }); };
  const parts = { output: {}, button: {}, textarea: { value: "{}" } };
  const form = { dataset: { verb: "POST", path: "/v1/tasks" }, querySelector: (s) => parts[s] ?? null, querySelectorAll: () => [] };
  await send(form, "k");
  assert.match(parts.output.textContent, /^202\n[^]*"ok": 1/);
  await send(form, "k");
  assert.equal(parts.output.textContent, "No answer: gone");
  assert.equal(parts.button.disabled, false);
  globalThis.confirm = () => false;
  form.dataset.verb = "DELETE";
  await send(form, "k");
  assert.equal(asked.length, 2);
})();
c = request(op("POST", "/v1/tasks"), [v("header", "Idempotency-Key", "once"), v("query", "tag", "a&b=c")], ' {"a":1} ', "");
assert.equal(c.url, "/v1/tasks?tag=a%26b%3Dc");
assert.deepEqual(c.init.headers, { "Idempotency-Key": "once", "Content-Type": "application/json" });
assert.equal(c.init.body, ' {"a":1} ');
assert.throws(() => request(op("GET", "/v1/runs/{id}"), [v("path", "id", "")], "", ""), /id is needed/);
assert.throws(() => request(op("POST", "/v1/tasks"), [], "{", ""), /not JSON/);
assert.equal(shown(200, [["a", "b"]], '{"x":[1]}'), '200\na: b\n\n{\n  "x": [\n    1\n  ]\n}');
assert.equal(shown(404, [], "plain"), "404\n\nplain");
assert.ok(shown(200, [], "x".repeat(300000)).length < 201000);
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("node", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
