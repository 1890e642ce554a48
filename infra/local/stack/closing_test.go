package stack_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// past is Outpost at a time that has gone by: what it does there is as old.
type past struct {
	*world
	*table.Table
	now time.Time
}

func (w *world) past(ago time.Duration) past {
	now := time.Now().Add(-ago).UTC()
	return past{w, table.New(dynamodb.NewFromConfig(w.AWS), "outpost", clock.NewManual(now)), now}
}

func (p past) by(action string) table.By {
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, p.now), At: p.now, Action: action, Actor: "test"}}
}

func (p past) done(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// tenant makes a tenant with runs that wait.
func (p past) tenant(runs int) string {
	p.t.Helper()
	ctx, e := p.t.Context(), tenant.Entitlement{Plan: "free", State: tenant.Active, Version: 1}
	tn := tenant.Tenant{ID: id.New(id.Tenant, p.now), Name: "Gone soon", Email: "gone@example.com", Entitlement: e, CreatedAt: p.now}
	k := table.Key{ID: id.New(id.Key, p.now), Hash: "v1." + tn.ID, State: table.KeyActive, CreatedAt: p.now}
	p.done(p.CreateTenant(ctx, tn, k, p.by("tenant.create")))
	if runs == 0 {
		return tn.ID
	}
	tk := task.Task{ID: id.New(id.Task, p.now), Tenant: tn.ID, State: task.Queued, CreatedAt: p.now,
		Spec: task.Spec{Repo: "https://example.com/a/b.git", Timeout: time.Minute, Priority: task.Normal}, Tally: task.Tally{Total: runs, Remaining: runs}}
	for n := range runs {
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, n+1), Task: tk.ID, Tenant: tn.ID, Number: n + 1, Agent: "codex", State: task.Queued, Priority: task.Normal, CreatedAt: p.now})
	}
	p.done(p.Admit(ctx, tn.ID, table.Admission{Caller: tenant.Caller{Tenant: tn.ID, KeyHash: k.Hash, Entitlement: e}, Task: tk, RunsPerDay: 100, Audit: p.by("task.create").Audit}))
	return tn.ID
}

func (p past) close(tenantID string) {
	p.t.Helper()
	_, err := p.ChangeTenant(p.t.Context(), tenantID, p.by("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(p.now), nil })
	p.done(err)
}

// usesClosing closes a tenant that has runs, and one of whom nobody asks the runs to
// end. It returns one that was closed a month ago and whose trail is not exported.
func usesClosing(w *world, operator *world, slow string) (old string) {
	w.t.Helper()
	n := newTenant(w, operator, "closes")
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+n.tenant, map[string]any{"limits": map[string]any{"concurrent_runs": 1, "requests_per_minute": 1_000_000}})
	n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "a-key-of-closes"})
	v := n.submit(map[string]any{"repo": slow, "prompt": "Work.", "verify": "true", "agents": []string{"codex", "codex", "codex"}})
	n.until(v.ID, time.Minute, func(v taskView) bool {
		return slices.ContainsFunc(v.Runs, func(r runView) bool { return r.State == "running" })
	})
	operator.must(http.StatusOK, "DELETE", "/v1/tenants/"+n.tenant, nil)
	n.must(http.StatusUnauthorized, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "another"}) // though the authorizer's answer is kept
	w.ended(n.tenant, v)

	now := w.past(0)
	late := now.tenant(3) // of which one may have started
	now.close(late)
	if err := w.Fire(w.t.Context(), "tenant-remove"); err != nil {
		w.t.Fatal(err)
	}
	if s, err := now.Standing(w.t.Context(), late); err != nil || s.Load.Waiting != 0 {
		w.t.Fatalf("the load of a closed tenant: %+v, %v", s.Load, err)
	}

	month := w.past(tenant.KeptClosed + time.Hour)
	old = month.tenant(0)
	month.done(month.PutSecret(w.t.Context(), old, table.Sealed{Name: "GIT_TOKEN", Version: 1}, month.by("secret.put")))
	bucket, key := "outpost-artifacts", artifact.Key(old, "run_01KAR5G5M0000000000000000Z_01", 1, task.ArtifactPatch)
	objects := s3.NewFromConfig(w.AWS, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := objects.PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("a patch")})
	month.done(err)
	month.close(old)
	month.done(month.MarkQuiet(w.t.Context(), old))
	if got := removedAt(operator, old); got != "" {
		w.t.Fatalf("removed at %s", got)
	}
	return old
}

// ended waits until the runs of a tenant that cannot ask for them have ended, all
// cancelled.
func (w *world) ended(tenantID string, v taskView) {
	w.t.Helper()
	store := w.past(0)
	for deadline := time.Now().Add(time.Minute); ; {
		ended := 0
		for _, r := range v.Runs {
			got, err := store.Run(w.t.Context(), tenantID, r.ID)
			store.done(err)
			if got.State == task.Cancelled {
				ended++
			} else if got.State.Terminal() || time.Now().After(deadline) {
				w.t.Fatalf("a run of a closed tenant is %s", got.State)
			}
		}
		if ended == len(v.Runs) {
			return
		}
	}
}

func removedAt(operator *world, tenantID string) string {
	operator.t.Helper()
	var v struct {
		At *string `json:"data_removed_at"`
	}
	if err := json.Unmarshal(operator.must(http.StatusOK, "GET", "/v1/tenants/"+tenantID, nil).body, &v); err != nil {
		operator.t.Fatal(err)
	}
	if v.At == nil {
		return ""
	}
	return *v.At
}

// removes removes the data of a tenant whose trail was exported by now.
func (w *world) removes(operator *world, old string) {
	w.t.Helper()
	if err := w.Fire(w.t.Context(), "tenant-remove"); err != nil {
		w.t.Fatal(err)
	}
	if removedAt(operator, old) == "" {
		w.t.Fatal("the data are not removed")
	}
	left := rows(w.t, w, old)
	for key := range left {
		if !strings.HasSuffix(key, " TENANT") && !strings.Contains(key, " EXPORT#") && !strings.Contains(key, " AUDIT#") {
			w.t.Errorf("left is %s", key)
		}
	}
	if len(left) != 4 { // its own, an export's, and the last two events
		w.t.Errorf("%d rows are left", len(left))
	}
}
