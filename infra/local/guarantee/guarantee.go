// Package guarantee is how a test that tries to break a promise of Outpost says
// which one, and what it measured.
//
// Such a test is called TestGuarantee…, lies in the package that it is about,
// and is an ordinary one: `make test` runs it small. `make prove` runs it in
// full, by naming in OUTPOST_PROVE_DIR a folder in which each test leaves a
// record, and writes docs/guarantees.md from the records. A record says that the
// test failed until it has passed, so that one which panics, hangs or is killed
// counts as failed.
package guarantee

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// EnvDir names the folder of the records; where it is not set, tests run small
// and leave none.
const EnvDir = "OUTPOST_PROVE_DIR"

// Record is what a test leaves of itself.
type Record struct {
	Promise  string    `json:"promise"`  // an ID of Promises
	Package  string    `json:"package"`  // from the module's root: shared/table
	Test     string    `json:"test"`     // its function
	Sentence string    `json:"sentence"` // what it shows
	Passed   bool      `json:"passed"`
	At       time.Time `json:"at"` // when it began
	Seconds  float64   `json:"seconds"`
	Cores    int       `json:"cores"`
	Figures  []Figure  `json:"figures"` // in the order of their first mention
}

// Figure is one thing measured or chosen: a count, a time with its unit, seeds.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Guarantee is a promise under test. It is safe for concurrent use.
type Guarantee struct {
	t    testing.TB
	file string // empty where no record is wanted

	mu     sync.Mutex
	record Record
}

// For begins the proof of a promise: promise is an ID of Promises, sentence what
// this test shows of it. It is called once, at the top of a TestGuarantee…
func For(t testing.TB, promise, sentence string) *Guarantee {
	t.Helper()
	if _, ok := Find(promise); !ok {
		t.Fatalf("there is no promise %q", promise)
	}
	if !strings.HasPrefix(t.Name(), "TestGuarantee") || strings.Contains(t.Name(), "/") {
		t.Fatalf("%s: a proof is called TestGuarantee… and is no subtest", t.Name())
	}
	g := &Guarantee{t: t, record: Record{Promise: promise, Package: caller(), Test: t.Name(), Sentence: sentence,
		At: time.Now().UTC(), Cores: runtime.NumCPU(), Figures: []Figure{}}}
	if dir := os.Getenv(EnvDir); dir != "" {
		g.file = filepath.Join(dir, strings.ReplaceAll(g.record.Package, "/", ".")+"."+t.Name()+"."+promise+".json")
		g.write()
		t.Cleanup(g.end)
	}
	return g
}

// caller is the package of the test that called For, from the module's root.
func caller() string {
	pc, _, _, _ := runtime.Caller(2)
	dir, rest, name := "", strings.TrimPrefix(runtime.FuncForPC(pc).Name(), "outpost/"), "" // shared/table_test.TestGuaranteeX
	if i := strings.LastIndex(rest, "/"); i >= 0 {
		dir, rest = rest[:i+1], rest[i+1:]
	}
	name, _, _ = strings.Cut(rest, ".")
	return dir + strings.TrimSuffix(name, "_test")
}

// Full tells whether tests run at the size of the promise.
func Full() bool { return os.Getenv(EnvDir) != "" }

// Pick returns full under `make prove` and quick otherwise.
func (g *Guarantee) Pick(full, quick int) int {
	if Full() {
		return full
	}
	return quick
}

// Figure notes what was measured or chosen, with the unit in the name or the
// value. A figure of the same name is replaced.
func (g *Guarantee) Figure(name string, value any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := fmt.Sprint(value)
	if f, ok := value.(float64); ok {
		text = fmt.Sprintf("%.3g", f)
	}
	for i, f := range g.record.Figures {
		if f.Name == name {
			g.record.Figures[i].Value = text
			return
		}
	}
	g.record.Figures = append(g.record.Figures, Figure{name, text})
}

func (g *Guarantee) end() {
	g.mu.Lock()
	g.record.Passed = !g.t.Failed() && !g.t.Skipped() && !panicking()
	g.record.Seconds = time.Since(g.record.At).Seconds()
	g.mu.Unlock()
	g.write()
}

// panicking tells whether a panic is what ends the test: package testing calls
// cleanups before it notes that.
func panicking() bool {
	stack := make([]uintptr, 64)
	frames := runtime.CallersFrames(stack[:runtime.Callers(1, stack)])
	for {
		f, more := frames.Next()
		if f.Function == "runtime.gopanic" {
			return true
		}
		if !more {
			return false
		}
	}
}

func (g *Guarantee) write() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	text, err := json.MarshalIndent(g.record, "", "  ")
	if err == nil {
		err = os.WriteFile(g.file, append(text, '\n'), 0o644)
	}
	if err != nil {
		g.t.Errorf("write the record of the proof: %v", err)
	}
}

// Read reads the records of a folder; one that is not there has none.
func Read(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var r Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, r)
	}
	return all, nil
}
