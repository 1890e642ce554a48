package stack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gated is an Outpost whose agents work until the test opens their gate, and
// whose demo tenant has a number of slots.
type gated struct {
	*world
	gates    string
	operator *world
}

func newGated(t *testing.T, fleetCap string, slots int) gated {
	t.Helper()
	gates := t.TempDir()
	o := options(t, t.TempDir(), scriptedAgent(t, `read name < a.txt; until test -e "$name"; do sleep 0.05; done`), "http://127.0.0.1:9")
	o.Settings = map[string]string{"OUTPOST_FLEET_CAP": fleetCap}
	for name, value := range timing {
		o.Settings[name] = value
	}
	w := start(t, o)
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack}
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+w.Demo.Tenant, map[string]any{"limits": map[string]any{"concurrent_runs": slots}})
	return gated{world: w, gates: gates, operator: operator}
}

// submits makes a task of one run, by a tenant, that works until its gate is open.
func (g gated) submits(by *world, gate, priority string) taskView {
	g.t.Helper()
	repo := repository(g.t, map[string]string{"a.txt": filepath.Join(g.gates, gate) + "\n"})
	return by.submit(map[string]any{"repo": repo, "prompt": "Work.", "agents": []string{"codex"}, "priority": priority})
}

func (g gated) open(gate string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.gates, gate), nil, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func working(v taskView) bool { return v.State == "running" && v.Runs[0].State == "running" }

// place is where the first waiting run of a task stands in its tenant's line.
func place(w *world, id string) int {
	w.t.Helper()
	var v struct{ Queue *struct{ Position int } }
	if err := json.Unmarshal(w.must(http.StatusOK, "GET", "/v1/tasks/"+id+"?include=queue", nil).body, &v); err != nil {
		w.t.Fatal(err)
	}
	if v.Queue == nil {
		return 0
	}
	return v.Queue.Position
}

func TestACancelledRunGivesItsPlaceToTheNextAtOnce(t *testing.T) {
	g := newGated(t, "10", 1)
	first := g.submits(g.world, "first", "normal")
	g.until(first.ID, time.Minute, working)
	second, third, fourth := g.submits(g.world, "second", "normal"), g.submits(g.world, "third", "normal"), g.submits(g.world, "fourth", "normal")
	if a, b, c := place(g.world, second.ID), place(g.world, third.ID), place(g.world, fourth.ID); fmt.Sprint(a, b, c) != "1 2 3" {
		t.Fatalf("the places are %d, %d, %d", a, b, c)
	}
	g.must(http.StatusAccepted, "POST", "/v1/tasks/"+second.ID+"/cancel", nil)
	if a, b := place(g.world, third.ID), place(g.world, fourth.ID); fmt.Sprint(a, b) != "1 2" {
		t.Errorf("after the cancel of who stood first the places are %d, %d", a, b)
	}
	// The one slot is the first one's, who would never end by itself.
	g.must(http.StatusAccepted, "POST", "/v1/runs/"+first.Runs[0].ID+"/cancel", nil)
	g.until(third.ID, time.Minute, working)
	if v := g.completed(first.ID); *v.Outcome != "cancelled" {
		t.Errorf("the first is %+v", v)
	}
	g.open("third")
	g.until(fourth.ID, time.Minute, working)
	g.open("fourth")
	g.completed(fourth.ID)
}

// Two slots in all, both taken by a tenant whose every task is high. Another comes,
// whose last submission is its most urgent one: its runs start in the order of its
// priorities, each of them, low ones too, as soon as its share of the starts asks
// for it, whatever the first has waiting.
func TestAPriorityOrdersOnlyInsideItsTenant(t *testing.T) {
	g := newGated(t, "2", 20)
	modest := newTenant(g.world, g.operator, "modest")
	loud := newTenant(g.world, g.operator, "loud")
	for _, n := range []neighbour{modest, loud} {
		n.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "a-key-of-" + n.tenant})
	}
	running := []taskView{g.submits(loud.world, "one", "high"), g.submits(loud.world, "two", "high")}
	for _, r := range running {
		loud.until(r.ID, time.Minute, working)
	}
	var waits []taskView
	for i := range 3 {
		waits = append(waits, g.submits(loud.world, fmt.Sprint("loud", i), "high"))
	}
	low := g.submits(modest.world, "low", "low")
	normal := g.submits(modest.world, "normal", "normal")
	high := g.submits(modest.world, "high", "high")
	if a, b, c := place(modest.world, high.ID), place(modest.world, normal.ID), place(modest.world, low.ID); fmt.Sprint(a, b, c) != "1 2 3" {
		t.Errorf("high, normal and low stand at %d, %d, %d", a, b, c)
	}
	// One slot after the other becomes free, and is taken before the next does.
	names := map[string]string{high.ID: "high", normal.ID: "normal", low.ID: "low"}
	owners := map[string]*world{high.ID: modest.world, normal.ID: modest.world, low.ID: modest.world}
	for i, w := range waits {
		names[w.ID], owners[w.ID] = fmt.Sprint("loud", i), loud.world
	}
	var order []string
	for _, gate := range []string{"one", "two"} {
		g.open(gate)
		order = append(order, g.next(names, owners))
	}
	for len(names) > 0 {
		g.open(order[len(order)-2])
		order = append(order, g.next(names, owners))
	}
	if got := strings.Join(order, " "); got != "high normal loud0 low loud1 loud2" {
		t.Errorf("the order is %s", got)
	}
	g.open(order[4])
	g.open(order[5])
	loud.completed(waits[2].ID)
}

// next waits for one of the tasks to work, takes it from the names and returns its
// name.
func (g gated) next(names map[string]string, owners map[string]*world) string {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		for id, name := range names {
			if w := owners[id]; working(w.read(w.must(http.StatusOK, "GET", "/v1/tasks/"+id, nil))) {
				delete(names, id)
				return name
			}
		}
	}
	g.t.Fatalf("none of %v works", names)
	return ""
}
