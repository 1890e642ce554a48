package stack_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/recorder"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// evidence is what functions were seen to do, a line each; the CDK app's roles
// are held against it.
const evidence = "testdata/permissions.txt"

// unseen are permissions that the scenario below does not make a function use.
var unseen = map[string]string{
	"api/list-artifacts s3:GetObject bucket":           "whoever has the URL that it signs reads under its role",
	"api/list-audit-exports s3:GetObject bucket/audit": "as api/list-artifacts",
	"runner/uploads s3:PutObject bucket":               "whoever has the URL that it signs writes under its role",
	"api/create-tenant dynamodb:GetItem table":         "after a lost answer it looks whether the tenant there is its own; shared/table has the test",
	"reaper dynamodb:UpdateItem table":                 "it settles a run whose execution has closed, which only an outage of the table brings about; functions/reaper has the test",
}

// A function may do what the topology says and nothing else: the recorder
// refuses the rest, in this test as in all. Here each is made to use all that it
// may, so that nothing is allowed in vain.
func TestEveryPermissionIsUsed(t *testing.T) {
	path := filepath.Join(sources, evidence)
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, `grep -q slow a.txt && sleep 120; echo changed >> a.txt`), "http://127.0.0.1:9"))
	useEverything(w)
	used, signed := map[string]bool{}, map[string]bool{}
	names := map[string]string{}
	for _, f := range topology.Functions {
		names[strings.ReplaceAll(f.Name, "/", "-")] = f.Name
	}
	for _, c := range w.Recorder.Calls() {
		for _, p := range c.Needs {
			if f, ok := names[c.Caller]; ok {
				used[line(f, p)] = true
			} else if c.Caller == "" {
				signed[fmt.Sprint(p)] = true
			}
		}
	}
	if len(signed) != 3 {
		t.Errorf("by signed URLs: %v", signed)
	}
	for _, f := range topology.Functions {
		for _, p := range f.Of(topology.InTable).Permissions() {
			l := line(f.Name, p)
			if !used[l] && unseen[l] == "" {
				t.Errorf("allowed and never used: %s", l)
			}
			if used[l] && unseen[l] != "" {
				t.Errorf("used after all: %s", l)
			}
		}
	}
	got := strings.Join(slices.Sorted(maps.Keys(used)), "\n") + "\n"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		t.Errorf("%s is not what was seen (make generate writes it): %v\n%s", evidence, err, got)
	}
}

func line(function string, p topology.Permission) string {
	return fmt.Sprintf("%s %s %s", function, p.Action, p.Resource)
}

// useEverything makes every function take every path that calls AWS.
func useEverything(w *world) {
	w.t.Helper()
	quick, slow := repository(w.t, map[string]string{"a.txt": "quick\n"}), repository(w.t, map[string]string{"a.txt": "slow\n"})
	body := func(repo string, runs int) map[string]any {
		return map[string]any{"repo": repo, "prompt": "Work.", "verify": "true", "agents": slices.Repeat([]string{"codex"}, runs)}
	}

	// A task from its submission to its patch, read in every way.
	first := w.read(w.must(http.StatusAccepted, "POST", "/v1/tasks", body(quick, 2), "Idempotency-Key", "once"))
	w.must(http.StatusAccepted, "POST", "/v1/tasks", body(quick, 2), "Idempotency-Key", "once")
	w.must(http.StatusUnprocessableEntity, "POST", "/v1/tasks", body(quick, 1), "Idempotency-Key", "once")
	run := w.completed(first.ID).Runs[0]
	for _, path := range []string{"/v1/tasks", "/v1/tasks/" + first.ID + "?include=queue", "/v1/tasks/" + first.ID + "/events",
		"/v1/runs/" + run.ID, "/v1/runs/" + run.ID + "/events", "/v1/runs/" + run.ID + "/artifacts", "/v1/runs/" + run.ID + "/patch", "/v1/agents", "/v1/limits", "/v1/usage", "/v1/tenant"} {
		w.must(http.StatusOK, "GET", path, nil)
	}
	artifacts := w.must(http.StatusOK, "GET", "/v1/runs/"+run.ID+"/artifacts", nil)
	for _, url := range urls(w.t, artifacts.body) {
		if res, err := http.Get(url); err != nil || res.StatusCode != http.StatusOK {
			w.t.Fatalf("download: %v %v", res, err)
		} else {
			res.Body.Close()
		}
	}

	// The operator's tenants, one of them from its beginning to its end.
	operator := &world{t: w.t, url: w.url, key: w.Demo.OperatorKey}
	made := operator.read(operator.must(http.StatusCreated, "POST", "/v1/tenants", map[string]any{"name": "Acme", "email": "dev@acme.example"}))
	for _, state := range []string{"suspended", "active"} {
		operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+made.ID, map[string]any{"state": state})
	}
	operator.must(http.StatusOK, "GET", "/v1/tenants?limit=1", nil)
	operator.must(http.StatusOK, "GET", "/v1/tenants/"+made.ID, nil)
	operator.must(http.StatusOK, "DELETE", "/v1/tenants/"+made.ID, nil)
	w.must(http.StatusForbidden, "GET", "/v1/tenants", nil)
	operator.must(http.StatusForbidden, "GET", "/v1/tasks", nil)

	usesBilling(w, operator)
	closed := usesClosing(w, operator, slow)

	// An audit trail of the day before yesterday, its export, and what that is read by.
	old := time.Now().Add(-48 * time.Hour)
	store := table.New(dynamodb.NewFromConfig(w.AWS), "outpost", clock.System)
	if err := store.NoteRefusal(w.t.Context(), w.Demo.Tenant, "quota_exceeded", audit.Event{At: old, Action: "request.refused", Actor: "test"}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Fire(w.t.Context(), "audit-export"); err != nil {
		w.t.Fatal(err)
	}
	verify := exec.Command(filepath.Join(binaries, "outpost"), "admin", "audit", "verify", w.Demo.Tenant)
	verify.Env = []string{"OUTPOST_URL=" + w.url, "OUTPOST_OPERATOR_KEY=" + w.Demo.OperatorKey}
	if said, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(said), "1 export, 1 event, whole.") {
		w.t.Fatalf("verify the export: %v %s", err, said)
	}
	w.removes(operator, closed)
	w.must(http.StatusOK, "GET", "/v1/audit?limit=1", nil)
	w.must(http.StatusOK, "GET", "/v1/audit?action=task.create", nil)

	// A key that is made, rotated and revoked, after a change of limits that the
	// authorizer's kept answer does not know.
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+w.Demo.Tenant, map[string]any{"name": "Demo"})
	made = w.read(w.must(http.StatusCreated, "POST", "/v1/keys", map[string]any{"name": "ci", "scopes": []string{"tasks:read"}}))
	w.must(http.StatusCreated, "POST", "/v1/keys/"+made.ID+"/rotate", nil)
	w.must(http.StatusOK, "DELETE", "/v1/keys/"+made.ID, nil)
	w.must(http.StatusOK, "GET", "/v1/keys", nil)

	// A provider that is not there, asked about a key.
	w.must(http.StatusOK, "POST", "/v1/secrets/OPENAI_API_KEY/check", nil)

	// A secret that is set by many at once, and forgotten. Who is not first puts
	// the next version.
	var wait sync.WaitGroup
	for range 3 {
		for range 4 {
			wait.Go(func() {
				_, _ = w.call("PUT", "/v1/secrets/GIT_TOKEN", map[string]any{"value": "a-token", "host": "git.example.com"}) // one of them may give up
			})
		}
		wait.Wait()
	}
	w.must(http.StatusOK, "GET", "/v1/secrets", nil)
	w.must(http.StatusNoContent, "DELETE", "/v1/secrets/GIT_TOKEN", nil)

	// Workers that are killed (all: one that has reported already ends no attempt),
	// one whose heartbeats are lost, more runs than the plan lets run at once, and
	// the end of all by a cancel.
	second := w.submit(body(slow, 8))
	running := func(v taskView) bool {
		return slices.ContainsFunc(v.Runs, func(r runView) bool { return r.State == "running" })
	}
	w.until(second.ID, time.Minute, running)
	for _, container := range w.ECS.Running() {
		w.ECS.Kill(container)
	}
	w.Recorder.Inject(&recorder.Rule{Service: "dynamodb", Caller: "runner-heartbeat", Probability: 1, Effect: recorder.Fail, Code: "InternalServerError", Status: 500})
	w.seen("reaper", topology.Permission{Action: "ecs:StopTask", Resource: topology.Containers})
	w.Recorder.Inject()
	w.must(http.StatusAccepted, "POST", "/v1/runs/"+second.Runs[7].ID+"/cancel", nil)
	w.must(http.StatusAccepted, "POST", "/v1/runs/"+run.ID+"/cancel", nil) // too late
	w.must(http.StatusAccepted, "POST", "/v1/tasks/"+second.ID+"/cancel", nil)
	w.completed(second.ID)

	// A worker that cannot claim for longer than the reaper waits to look after its
	// container.
	w.Recorder.Inject(&recorder.Rule{Service: "dynamodb", Caller: "runner-claim", Probability: 1, Effect: recorder.Fail, Code: "InternalServerError", Status: 500})
	unclaimed := w.submit(body(quick, 1))
	w.seen("reaper", topology.Permission{Action: "ecs:DescribeTasks", Resource: topology.Containers})
	w.Recorder.Inject()
	w.completed(unclaimed.ID)

	// An execution that nobody started, and a fleet without room.
	w.Recorder.Inject(
		&recorder.Rule{Service: "states", Action: "StartExecution", Caller: "scheduler", Probability: 1, Effect: recorder.Fail, Code: "ThrottlingException"},
		&recorder.Rule{Service: "ecs", Action: "RunTask", Probability: 1, Effect: recorder.Fail, Code: "ThrottlingException"})
	third := w.submit(body(quick, 1))
	w.seen("reaper", topology.Permission{Action: "states:StartExecution", Resource: topology.Workflow})
	w.seen("workflow/launch", topology.Permission{Action: "states:SendTaskSuccess", Resource: topology.Workflow})
	w.Recorder.Inject()
	w.completed(third.ID)
	w.seen("reaper", topology.Permission{Action: "sqs:SendMessage", Resource: topology.Queue(topology.Wakeups)})
}

// seen waits until a function has used a permission.
func (w *world) seen(function string, p topology.Permission) {
	w.t.Helper()
	caller := strings.ReplaceAll(function, "/", "-")
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); {
		for _, c := range w.Recorder.Calls() {
			if c.Caller == caller && c.Status == http.StatusOK && slices.Contains(c.Needs, p) {
				return
			}
		}
		if _, err := w.call("GET", "/health", nil); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("%s never used %v", function, p)
}
