package contract_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"outpost/shared/agent"
	"outpost/shared/billing"
	"outpost/shared/contract"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

func document(t *testing.T) map[string]any {
	t.Helper()
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestRoutesAndScopesAreThoseOfTheTopology(t *testing.T) {
	inContract := map[string]bool{}
	for path, item := range document(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			inContract[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, r := range topology.Routes {
		key := r.Method + " " + r.Path
		if !inContract[key] {
			t.Errorf("%s is in the topology alone", key)
			continue
		}
		delete(inContract, key)
		op, err := contract.Load(r.Method, r.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		if op.Scope != r.Scope {
			t.Errorf("%s: the contract says scope %q, the topology %q", key, op.Scope, r.Scope)
		}
	}
	for key := range inContract {
		t.Errorf("%s is in the contract alone", key)
	}
}

func TestEnumsAreThoseOfTheDomain(t *testing.T) {
	schemas := document(t)["components"].(map[string]any)["schemas"].(map[string]any)
	enum := func(name string) []string {
		var out []string
		for _, v := range schemas[name].(map[string]any)["enum"].([]any) {
			out = append(out, v.(string))
		}
		return out
	}
	var reasons, codes []string
	for _, r := range task.Reasons() {
		reasons = append(reasons, string(r.Code))
	}
	for _, c := range problem.Codes() {
		codes = append(codes, string(c.Code))
	}
	var statuses, paid []string
	for _, st := range billing.Statuses {
		statuses = append(statuses, string(st))
	}
	for _, p := range plan.All() {
		if p.PriceUSD > 0 {
			paid = append(paid, p.Name)
		}
	}
	for name, want := range map[string][]string{
		"SubscriptionStatus": statuses, "PaidPlan": paid,
		"AgentName": agent.Names(), "AgentOrAll": append([]string{"all"}, agent.Names()...), "ReasonCode": reasons, "ProblemCode": codes, "EventKind": task.EventKinds,
		"RunState":     {"queued", "starting", "running", "succeeded", "failed", "timed_out", "cancelled"},
		"TaskState":    {string(task.Queued), string(task.Running), string(task.Completed)},
		"ResultState":  {string(task.Succeeded), string(task.Failed), string(task.TimedOut), string(task.Cancelled)},
		"VerifyState":  {string(task.VerifyNone), string(task.VerifyPassed), string(task.VerifyFailed), string(task.VerifyTimeout)},
		"Priority":     {string(task.High), string(task.Normal), string(task.Low)},
		"Outcome":      {string(task.OutcomeSucceeded), string(task.OutcomeFailed), string(task.OutcomeCancelled)},
		"ArtifactName": {task.ArtifactPatch, task.ArtifactLog, task.ArtifactTranscript, task.ArtifactSummary, task.ArtifactVerifyLog},
	} {
		if got := enum(name); !slices.Equal(got, want) {
			t.Errorf("%s is %v in the contract and %v in the domain", name, got, want)
		}
	}
}

func TestEveryExampleOfABodyIsWhatItsSchemaSays(t *testing.T) {
	doc, found := document(t), 0
	for path, item := range doc["paths"].(map[string]any) {
		for method, raw := range item.(map[string]any) {
			op, err := contract.Load(method, path)
			if err != nil {
				t.Error(err)
				continue
			}
			body, _ := raw.(map[string]any)["requestBody"].(map[string]any)
			content, _ := body["content"].(map[string]any)
			media, _ := content["application/json"].(map[string]any)
			examples, _ := media["examples"].(map[string]any)
			for name, e := range examples {
				found++
				if wrong := op.CheckBody(e.(map[string]any)["value"]); len(wrong) > 0 {
					t.Errorf("%s %s, example %s: %v", method, path, name, wrong)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d examples were found", found)
	}
}

// eachAnswer visits each kind of content of each answer, with the examples of it,
// where they stand or where they are referred to.
func eachAnswer(t *testing.T, visit func(op *contract.Operation, status int, media string, examples map[string]any)) {
	t.Helper()
	components := document(t)["components"].(map[string]any)
	follow := func(node any) map[string]any {
		object, _ := node.(map[string]any)
		if ref, ok := object["$ref"].(string); ok {
			parts := strings.Split(ref, "/") // #/components/kind/name
			object, _ = components[parts[2]].(map[string]any)[parts[3]].(map[string]any)
		}
		return object
	}
	for path, item := range document(t)["paths"].(map[string]any) {
		for method, raw := range item.(map[string]any) {
			op, err := contract.Load(method, path)
			if err != nil {
				t.Fatal(err)
			}
			answers, _ := raw.(map[string]any)["responses"].(map[string]any)
			for code, answer := range answers {
				status, err := strconv.Atoi(code)
				if err != nil {
					t.Fatal(err)
				}
				content, _ := follow(answer)["content"].(map[string]any)
				for media, m := range content {
					named, _ := m.(map[string]any)["examples"].(map[string]any)
					examples := map[string]any{}
					for name, e := range named {
						examples[name] = follow(e)["value"]
					}
					visit(op, status, media, examples)
				}
			}
		}
	}
}

func TestEveryAnswerHasAnExampleThatIsWhatItsSchemaSays(t *testing.T) {
	found := 0
	eachAnswer(t, func(op *contract.Operation, status int, media string, examples map[string]any) {
		if strings.HasSuffix(media, "json") && len(examples) == 0 {
			t.Errorf("%s answers %d with no example", op.ID, status)
		}
		for name, e := range examples {
			found++
			if err := op.CheckAnswer(status, media, e); err != nil {
				t.Errorf("example %s: %v", name, err)
			}
			for _, text := range ids(e) {
				if !wellFormed(text) {
					t.Errorf("example %s of %s has the id %s, which is none", name, op.ID, text)
				}
			}
		}
	})
	if found < 100 {
		t.Errorf("only %d examples were found", found)
	}
}

var anID = regexp.MustCompile(`^(tsk|run|ten|key|evt|aud|req)_[0-9]`)

// ids are the texts of an example that look like ids of Outpost's.
func ids(value any) (out []string) {
	switch v := value.(type) {
	case string:
		if anID.MatchString(v) && !strings.HasPrefix(v, "evt_1O") { // Stripe's
			out = append(out, v)
		}
	case []any:
		for _, e := range v {
			out = append(out, ids(e)...)
		}
	case map[string]any:
		for _, e := range v {
			out = append(out, ids(e)...)
		}
	}
	return out
}

func wellFormed(text string) bool {
	if strings.HasPrefix(text, string(id.Run)+"_") {
		_, _, err := id.SplitRun(text)
		return err == nil
	}
	kind, _, _ := strings.Cut(text, "_")
	_, err := id.ULID(id.Kind(kind), text)
	return err == nil
}

// What a problem says of itself is its row in the table, and each row is shown.
func TestEveryProblemHasAnExampleThatIsItsRow(t *testing.T) {
	missing := map[problem.Code]problem.Info{}
	for _, row := range problem.Codes() {
		missing[row.Code] = row
	}
	rows := maps.Clone(missing)
	eachAnswer(t, func(op *contract.Operation, status int, media string, examples map[string]any) {
		if media != "application/problem+json" {
			return
		}
		for name, e := range examples {
			got := e.(map[string]any)
			row := rows[problem.Code(got["code"].(string))]
			if got["status"] != status || row.Status != status || got["title"] != row.Title || got["retryable"] != row.Retryable || got["type"] != problem.New(row.Code, "").Type {
				t.Errorf("%s, %d %s: %v is not the row %+v", op.ID, status, name, got, row)
			}
			delete(missing, row.Code)
		}
	})
	for code := range missing {
		t.Errorf("no answer has %s", code)
	}
}

// The introduction names the routes that take an idempotency key, and no other.
func TestTheIntroductionNamesWhatTakesAnIdempotencyKey(t *testing.T) {
	_, text, _ := strings.Cut(document(t)["info"].(map[string]any)["description"].(string), "**Doing it once.**")
	text, _, _ = strings.Cut(text, "Idempotency-Key")
	for path, item := range document(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			op, err := contract.Load(method, path)
			if err != nil {
				t.Fatal(err)
			}
			takes := slices.ContainsFunc(op.Parameters, func(p contract.Parameter) bool { return p.Name == "Idempotency-Key" })
			if said := strings.Contains(text, "`"+strings.ToUpper(method)+" "+path+"`"); said != takes {
				t.Errorf("%s takes one: %v; it is said: %v", op.ID, takes, said)
			}
		}
	}
}

// What people name is shown in terminals, where a control character does things.
func TestNothingThatIsShownHoldsControlCharactersOrSaysNothing(t *testing.T) {
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/tenants", `{"name":%s,"email":"a@b.example"}`, "/name"},
		{"PATCH", "/v1/tenants/{id}", `{"name":%s}`, "/name"},
		{"POST", "/v1/tenants", `{"name":"Acme","email":%s}`, "/email"},
		{"POST", "/v1/keys", `{"name":%s,"scopes":["tasks:read"]}`, "/name"},
		{"POST", "/v1/tasks", `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"tags":[%s]}`, "/tags/0"},
		{"POST", "/v1/tasks", `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"ref":%s}`, "/ref"},
		{"POST", "/v1/tasks", `{"repo":%s,"prompt":"p","agents":["claude"]}`, "/repo"},
	} {
		op, err := contract.Load(c.method, c.path)
		if err != nil {
			t.Fatal(err)
		}
		wrong := func(value string) []problem.Field {
			body, err := jsonschema.UnmarshalJSON(strings.NewReader(fmt.Sprintf(c.body, value)))
			if err != nil {
				t.Fatal(err)
			}
			return op.CheckBody(body)
		}
		bad := []string{`""`, `"   "`, `"\u0000"`, `"a\u001b[2Jb@c"`, `"a\u007fb@c"`, `"a\u009bb@c"`, `"a\nb@c"`, `"a\u2028b@c"`, `"\u00a0"`}
		if c.field == "/name" {
			bad = append(bad, `"\u200b"`, `"\t"`)
		}
		for _, value := range bad {
			if got := wrong(value); !slices.ContainsFunc(got, func(f problem.Field) bool { return f.Field == c.field }) {
				t.Errorf("%s %s takes %s for %s: %v", c.method, c.path, value, c.field, got)
			}
		}
		for _, value := range []string{`"Müller-und-Söhne@例.example"`, `"👩‍💻@b"`} {
			if got := wrong(value); len(got) > 0 {
				t.Errorf("%s %s refuses %s: %v", c.method, c.path, value, got)
			}
		}
	}
}

// DESIGN.md has one word for a paying team.
func TestATenantIsCalledNothingElse(t *testing.T) {
	account := regexp.MustCompile(`(?i)\baccounts?\b`)
	for line := range strings.SplitSeq(string(contract.YAML), "\n") {
		if account.MatchString(line) && !strings.Contains(line, "of what its account can pay") { // a provider's
			t.Errorf("the contract says %q", strings.TrimSpace(line))
		}
	}
	for _, row := range problem.Codes() {
		if account.MatchString(row.Title) {
			t.Errorf("%s says %q", row.Code, row.Title)
		}
	}
}

func TestProblemsAreWhatTheirSchemaSays(t *testing.T) {
	op, err := contract.Load("POST", "/v1/tasks")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ body, why string }{
		{`{"type":"x"}`, "fields are missing"}, {`{"code":"new","type":"t","title":"t","status":400,"detail":"d","request_id":"r","retryable":false}`, "a code that is not in the table"},
	} {
		body, err := jsonschema.UnmarshalJSON(strings.NewReader(bad.body))
		if err != nil {
			t.Fatal(err)
		}
		if op.CheckAnswer(400, "application/problem+json", body) == nil {
			t.Errorf("an answer passes although %s", bad.why)
		}
	}
	if op.CheckAnswer(418, "application/problem+json", nil) == nil || op.CheckAnswer(202, "text/plain", nil) == nil {
		t.Error("an answer passes that the contract does not know")
	}
}

func TestEverySchemaOfARequestRefusesWhatItDoesNotKnow(t *testing.T) {
	for path, item := range document(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			op, err := contract.Load(method, path)
			if err != nil {
				t.Fatal(err)
			}
			if !op.HasBody || path == "/webhooks/stripe" { // a body of Stripe's grows as Stripe wants
				continue
			}
			got := op.CheckBody(map[string]any{"no_such_field": "x"})
			if !slices.ContainsFunc(got, func(f problem.Field) bool { return f.Field == "/no_such_field" }) {
				t.Errorf("%s %s: %v", method, path, got)
			}
		}
	}
}

func TestFaultsAreNamedInWords(t *testing.T) {
	load := func(method, path string) *contract.Operation {
		op, err := contract.Load(method, path)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	submit, change, key := load("POST", "/v1/tasks"), load("PATCH", "/v1/tenants/{id}"), load("POST", "/v1/keys")
	const ok = `"repo":"https://h/a/b","prompt":"p","agents":["claude"]`
	for _, c := range []struct {
		op                   *contract.Operation
		body, field, message string
	}{
		{change, `{}`, "", "must name at least one field"},
		{change, `{"limits":{}}`, "/limits", "must name at least one field"},
		{change, `{"limits":{"runs_per_day":0}}`, "/limits/runs_per_day", "must not be 0: to stop a tenant, suspend it"},
		{change, `{"limits":{"agents":["clod"]}}`, "/limits/agents/0", "must be one of all, claude, codex, gemini, grok, aider"},
		{change, `{"limits":{"weight":"2"}}`, "/limits/weight", "must be null or an integer, not a string"},
		{key, `{"name":"ci","scopes":["tasks:read"],"expires_at":"2026-12-31T23:59:60Z"}`, "/expires_at", "must be a time, as 2026-11-23T10:00:00Z"},
		{submit, `{}`, "/repo", "is required"},
		{submit, `{` + ok + `,"nope":1}`, "/nope", "is not a field that exists"},
		{submit, `{` + ok + `,"ref":7}`, "/ref", "must be a string, not a number"},
		{submit, `{"repo":"https://h/a/b","prompt":"","agents":["claude"]}`, "/prompt", "must not be empty"},
		{submit, `{"repo":"https://h/a/b","prompt":"p","agents":["clod"]}`, "/agents/0", "must be one of all, claude, codex, gemini, grok, aider"},
		{submit, `{"repo":"https://h/a/b","prompt":"p","agents":[7]}`, "/agents/0", "must be a string or an object"},
		{submit, `{"repo":"https://h/a/b","prompt":"p","agents":[{"agent":"codex","model":"A B"}]}`, "/agents/0/model", "must be up to 64 lower-case letters, digits and ._:-"},
		{submit, `{"repo":"https://h/a/b","prompt":"p","agents":[]}`, "/agents", "must have at least 1, and has 0"},
		{submit, `{` + ok + `,"timeout_seconds":5}`, "/timeout_seconds", "must be at least 10"},
		{submit, `{` + ok + `,"timeout_seconds":1.5}`, "/timeout_seconds", "must be an integer, not a number"},
		{submit, `{` + ok + `,"tags":["a","a"]}`, "/tags", "must not say the same twice"},
		{submit, `[]`, "", "must be an object, not an array"},
	} {
		body, err := jsonschema.UnmarshalJSON(strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got := c.op.CheckBody(body)
		if !slices.Contains(got, problem.Field{Field: c.field, Message: c.message}) {
			t.Errorf("%s: %v", c.body, got)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := contract.Load("POST", "/v1/tasks"); err != nil {
			b.Fatal(err)
		}
	}
}
