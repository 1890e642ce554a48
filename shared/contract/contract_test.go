package contract_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"outpost/shared/agent"
	"outpost/shared/billing"
	"outpost/shared/contract"
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

func TestEveryExampleIsWhatItsSchemaSays(t *testing.T) {
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
	task, err := contract.Load("GET", "/v1/tasks/{id}")
	if err != nil {
		t.Fatal(err)
	}
	examples := doc["components"].(map[string]any)["examples"].(map[string]any)
	for _, name := range []string{"QueuedTask", "CompletedTask"} {
		found++
		if err := task.CheckAnswer(200, "application/json", examples[name].(map[string]any)["value"]); err != nil {
			t.Error(err)
		}
	}
	if found < 10 {
		t.Errorf("only %d examples were found", found)
	}
}

// Every example of an answer, where it stands or where it is referred to.
func TestEveryExampleOfAnAnswerIsWhatItsSchemaSays(t *testing.T) {
	doc, found := document(t), 0
	components := doc["components"].(map[string]any)
	follow := func(node any) map[string]any {
		object, _ := node.(map[string]any)
		if ref, ok := object["$ref"].(string); ok {
			parts := strings.Split(ref, "/") // #/components/kind/name
			object, _ = components[parts[2]].(map[string]any)[parts[3]].(map[string]any)
		}
		return object
	}
	for path, item := range doc["paths"].(map[string]any) {
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
					examples, _ := m.(map[string]any)["examples"].(map[string]any)
					for name, e := range examples {
						found++
						if err := op.CheckAnswer(status, media, follow(e)["value"]); err != nil {
							t.Errorf("example %s: %v", name, err)
						}
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d examples were found", found)
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
