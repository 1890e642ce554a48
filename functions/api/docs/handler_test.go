package main

import (
	"bytes"
	"encoding/json"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// section is what the page shows of an operation, as people see it.
func section(t *testing.T, body, id string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, `<section id="`+id+`"`)
	section, _, ended := strings.Cut(rest, "</section>")
	if !found || !ended {
		t.Fatalf("no section for %s", id)
	}
	return html.UnescapeString(section)
}

func follow(t *testing.T, node any) map[string]any {
	t.Helper()
	out, err := contract.Follow(node)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestThePageShowsAnExampleOfEveryAnswerAndEachCodeOfARefusal(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	body, answers, refusals := page(t), 0, 0
	_, problems, _ := strings.Cut(html.UnescapeString(body), `<h2 id="problems">`)
	for _, r := range topology.Routes {
		if r.Authorizer == topology.ByRunner {
			continue
		}
		raw := doc["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		shown := section(t, body, raw["operationId"].(string))
		for status, answer := range raw["responses"].(map[string]any) {
			content, _ := follow(t, answer)["content"].(map[string]any)
			for media, m := range content {
				if !strings.HasSuffix(media, "json") {
					continue
				}
				examples, _ := m.(map[string]any)["examples"].(map[string]any)
				if len(examples) == 0 {
					t.Errorf("%s %s has no example of %s", r.Method, r.Path, status)
				}
				for name, e := range examples {
					value := follow(t, e)["value"].(map[string]any)
					text, err := json.MarshalIndent(value, "", "  ")
					if err != nil {
						t.Fatal(err)
					}
					where, whole := shown, "<pre>"+string(text)+"</pre>"
					switch code, refused := value["code"].(string); {
					case refused && media == "application/problem+json":
						refusals++
						if !strings.Contains(shown, `<a href="#problem-`+code+`">`) {
							t.Errorf("%s %s does not show its refusal %s", r.Method, r.Path, code)
						}
						where = problems
					case status >= "400":
						whole = "<code>" + string(text) + "</code>"
					default:
						answers++
					}
					if !strings.Contains(where, whole) {
						t.Errorf("%s %s does not show the example %s of %s", r.Method, r.Path, name, status)
					}
				}
			}
		}
	}
	if answers < 30 || refusals < 200 {
		t.Errorf("only %d answers and %d refusals were looked at", answers, refusals)
	}
}

func TestThePageShowsFieldsWithTheirTypesAndLimits(t *testing.T) {
	body := page(t)
	for id, rows := range map[string][]string{
		"create-task": {
			`<code>Idempotency-Key</code></td><td>string<br><small>1 to 255 visible ASCII characters without spaces</small></td><td><small class="mark">header</small>`,
			`<code>repo</code></td><td>string<br><small>a URL without spaces or control characters; 1 to 2048 characters</small></td><td><small class="mark">required</small> URL to clone`,
			`<code>agents</code></td><td>list of string or object<br><small>1 to 20 entries; <code>all</code>, <code>claude</code>`,
			`<code><i>agents[].</i><wbr>model</code></td><td>string<br><small>up to 64 lower-case letters`,
			`<code>timeout_seconds</code></td><td>integer<br><small>10 to 3600; default 300</small></td><td>Time for each run.`,
			`<code><i>runs[].verify.</i><wbr>exit_code</code></td><td>integer or null</td><td>Set when the command has ended.`,
			`<code>commit</code></td><td>string or null<br><small>a commit id of 40 or 64 lower-case hex digits</small></td><td>What all runs work on`,
			`<code>queue</code></td><td>object</td><td><small class="mark">may be absent</small> Absent without <code>include=queue</code>.`,
		},
		"update-tenant":   {`<code>limits</code></td><td>object<br><small>at least one of its fields</small></td>`, `<code><i>limits.</i><wbr>weight</code></td><td>integer or null<br><small>1 to 1000</small></td><td>Share in fair scheduling.`},
		"list-tasks":      {`<code>since</code></td><td>time</td><td><small class="mark">query</small> Only tasks created`, `<code><i>data[].</i><wbr>run_counts</code>`},
		"list-agents":     {`<code>has_more</code></td><td>always false</td>`, `<code>next_cursor</code></td><td>null</td>`},
		"get-usage":       {`<code>from</code></td><td>day</td>`},
		"rotate-key":      {`Body, which may be left out</h4>`},
		"list-run-events": {`<code><i>data[].</i><wbr>seq</code></td><td>integer<br><small>at least 0</small></td>`},
	} {
		shown := section(t, body, id)
		for _, row := range rows {
			if !strings.Contains(shown, row) {
				t.Errorf("%s does not show %s", id, row)
			}
		}
	}
}

// "Every field is always there, but for a few that say when they are absent."
func TestAFieldThatMayBeAbsentSaysWhen(t *testing.T) {
	v, err := newView()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(where string, fields []field) {
		for i, f := range fields {
			if f.Required {
				continue
			}
			found++
			says := func(f field) bool { return regexp.MustCompile("(?i)absent").MatchString(string(f.Description)) }
			if !says(f) && !slices.ContainsFunc(fields[:i], func(outer field) bool { return outer.Within+outer.Name+"." == f.Within && says(outer) }) {
				t.Errorf("%s: %s%s may be absent and does not say when", where, f.Within, f.Name)
			}
		}
	}
	check("problems", v.Problem)
	for _, g := range v.Groups {
		for _, op := range g.Operations {
			for _, a := range op.Answers {
				check(op.ID, a.Fields)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d fields may be absent", found)
	}
}

func TestProseIsEscaped(t *testing.T) {
	if got := prose("**a** < b & `<script> **` \"c\""); got != "<strong>a</strong> &lt; b &amp; <code>&lt;script&gt; **</code> &#34;c&#34;" {
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
