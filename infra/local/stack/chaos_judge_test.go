package stack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/task"
)

// verdict is what was found of the runs at the end.
type verdict struct {
	succeeded, attempts int
	wrong               int // runs that have not ended exactly once
	slots               int // that are still taken
}

// judge reads the table itself: each run ended once, the counters are right.
func judge(t *testing.T, dir, tenantID string, tasks []string, runsPerTask int) (v verdict) {
	t.Helper()
	db, err := engines.DynamoDB(t.Context(), filepath.Join(dir, "dynamodb.sqlite"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Stop()
	store := table.New(dynamodb.NewFromConfig(aws.Config{Region: engines.Region, BaseEndpoint: &db.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")}), "outpost", clock.System)
	ctx := t.Context()
	listed, _, err := store.Tasks(ctx, tenantID, table.TaskRange{}, 1000)
	if err != nil || len(listed) != len(tasks) {
		t.Errorf("%d tasks are stored, %d were admitted, %v", len(listed), len(tasks), err)
	}
	ends, ways := map[string]int{}, map[string]way{}
	for part := (table.AuditRange{}); ; {
		trail, next, err := store.AuditEvents(ctx, tenantID, part, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range trail {
			if state, ok := strings.CutPrefix(e.Action, "run."); ok && task.State(state).Terminal() {
				ends[e.Target]++
			}
			ways[e.Target] = ways[e.Target].with(e.Changes)
		}
		if part.After = next; next == "" {
			break
		}
	}
	for _, id := range tasks {
		tk, err := store.Task(ctx, tenantID, id)
		if err != nil {
			t.Fatal(err)
		}
		if tk.State != task.Completed || tk.Tally.Remaining != 0 || len(tk.Runs) != runsPerTask {
			t.Errorf("task %s: %s, %+v", id, tk.State, tk.Tally)
		}
		for _, r := range tk.Runs {
			if !r.State.Terminal() || ends[r.ID] != 1 {
				t.Errorf("run %s is %s and ended %d times", r.ID, r.State, ends[r.ID])
				v.wrong++
			}
			if w := ways[r.ID]; !w.leads(task.Queued, r.State) {
				t.Errorf("the trail does not tell how run %s came to be %s: %v", r.ID, r.State, w)
			}
			if r.State == task.Succeeded {
				v.succeeded++
			}
			v.attempts += r.Attempt.Number
		}
	}
	standing, err := store.Standing(ctx, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, day := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} { // the day may have turned
		n, err := store.DayMeter(ctx, tenantID, day)
		if err != nil {
			t.Fatal(err)
		}
		if used == 0 || day.UTC().Day() != time.Now().UTC().Day() {
			used += n
		}
	}
	if standing.Load.Waiting != 0 || standing.Load.Running != 0 || used != len(tasks)*runsPerTask {
		t.Errorf("at the end the load is %+v and the meter %d", standing.Load, used)
	}
	if v.succeeded == 0 {
		t.Error("not one run succeeded: the test proves nothing")
	}
	v.slots = standing.Load.Running
	return v
}

// alive lists processes whose command line or environment names a folder.
func alive(dir string) []string {
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		line, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if p != fmt.Sprintf("/proc/%d", os.Getpid()) && (strings.Contains(string(line), dir) || strings.Contains(string(env), dir)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// way is what a trail tells of a run's states: how much more often each was
// entered than left. Events of one millisecond have no order.
type way map[string]int

func (w way) with(changes []audit.Change) way {
	if w == nil {
		w = way{}
	}
	for _, c := range changes {
		if c.Field == "state" {
			w[c.Before]--
			w[c.After]++
		}
	}
	return w
}

// leads tells whether the changes, in some order, go from one state to another
// without a gap.
func (w way) leads(from, to task.State) bool {
	for state, n := range w {
		want := 0
		if state == string(from) {
			want--
		}
		if state == string(to) {
			want++
		}
		if n != want {
			return false
		}
	}
	return w[string(to)] == 1
}
