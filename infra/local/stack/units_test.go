package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"outpost/infra/local/stack"
	"outpost/shared/clock"
)

// measured is what the committed figures hold: a run of one agent with a verify
// command from its submission until its container's end was told, every
// function warm; and a minute in which nothing waits or runs.
type measured struct {
	Run        stack.Units `json:"run"`
	IdleMinute stack.Units `json:"idle_minute"`
}

// figures are read by the cost model.
const figures = "testdata/units.json"

// growth is how much more a run may use than the committed figures say.
const growth = 1.10

// What a run uses is what it costs. Who makes it use more says so by committing
// new figures (make generate).
func TestARunUsesNoMoreThanItDid(t *testing.T) {
	o := options(t, t.TempDir(), scriptedAgent(t, `echo changed >> a.txt`), "http://127.0.0.1:9")
	o.Settings, o.ReapEvery = nil, time.Hour
	w := start(t, o)
	repo := repository(t, map[string]string{"a.txt": "a\n"})
	var got, want measured
	raw, err := os.ReadFile(filepath.Join(sources, figures))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	// The first warms up; of the others the least counts: how events are batched is
	// a matter of time, so one that is slow today has more tries.
	for i := 0; i < 6 || i < 20 && len(excess(got.Run, want.Run)) > 0; i++ {
		m := w.Meter("api/get-task")
		w.completed(w.submit(map[string]any{"repo": repo, "prompt": "Work.", "agents": []string{"codex"}, "verify": "true"}).ID)
		u := settled(m)
		less := len(excess(u, want.Run)) - len(excess(got.Run, want.Run))
		if i == 1 || i > 1 && (less < 0 || less == 0 && u.WriteUnits < got.Run.WriteUnits) {
			got.Run = u
		}
	}
	m := w.Meter()
	if err := w.Fire(t.Context(), "reaper"); err != nil {
		t.Fatal(err)
	}
	got.IdleMinute = settled(m)

	if os.Getenv("UPDATE") != "" {
		encoded, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sources, figures), append(encoded, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, e := range excess(got.Run, want.Run) {
		t.Error("a run uses", e)
	}
	for _, e := range excess(got.IdleMinute, want.IdleMinute) {
		t.Error("an idle minute uses", e)
	}
}

// settled waits until nothing more is used.
func settled(m *stack.Meter) stack.Units {
	for before := (stack.Units{}); ; {
		u := m.Units()
		if u.HTTPRequests == before.HTTPRequests && u.WriteUnits == before.WriteUnits && u.Calls["states"] == before.Calls["states"] {
			return u
		}
		before = u
		<-clock.System.After(time.Second)
	}
}

// excess is what is used of which over 10 % more than is committed.
func excess(got, want stack.Units) (over []string) {
	check := func(what string, got, want float64) {
		if got > want*growth {
			over = append(over, fmt.Sprintf("%g %s, over 10 %% more than the %g committed", got, what, want))
		}
	}
	total := func(m map[string]int64) (n float64) {
		for _, v := range m {
			n += float64(v)
		}
		return n
	}
	check("read units", got.ReadUnits, want.ReadUnits)
	check("write units", got.WriteUnits, want.WriteUnits)
	check("transitions", float64(got.Transitions), float64(want.Transitions))
	check("requests", float64(got.HTTPRequests), float64(want.HTTPRequests))
	check("invocations", total(got.Invocations), total(want.Invocations))
	check("AWS calls", total(got.Calls), total(want.Calls))
	return over
}
