package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/shared/problem"
)

func TestUnknownErrorsSayNothingInside(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7: connection refused")
	p := problem.From(fmt.Errorf("read task: %w", cause))
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != 500 || p.Code != problem.Internal {
		t.Errorf("got %d %s", p.Status, p.Code)
	}
	if strings.Contains(string(body), "10.0.0.7") || strings.Contains(string(body), "read task") {
		t.Errorf("the answer tells the cause: %s", body)
	}
	if !errors.Is(p, cause) {
		t.Error("the log cannot see the cause")
	}
}

func TestAWrappedProblemKeepsItsCode(t *testing.T) {
	p := problem.From(fmt.Errorf("create task: %w", problem.New(problem.PlanLimit, "no")))
	if p.Code != problem.PlanLimit || p.Status != 403 {
		t.Errorf("got %s %d", p.Code, p.Status)
	}
}

func TestCausesAreNeverRendered(t *testing.T) {
	body, err := json.Marshal(problem.New(problem.Busy, "Try again.").Because(errors.New("inner words")))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "inner words") {
		t.Errorf("the answer tells the cause: %s", body)
	}
}

func TestQuotaIsTold(t *testing.T) {
	p := problem.New(problem.QuotaExceeded, "x")
	p.Quota = &problem.Quota{Limit: 10, Used: 9, ResetsAt: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"limit":10`, `"used":9`, `"resets_at":"2026-11-24T00:00:00Z"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}

func TestTheTableIsWhole(t *testing.T) {
	seen := map[problem.Code]bool{}
	for _, i := range problem.Codes() {
		if seen[i.Code] {
			t.Errorf("%s stands twice", i.Code)
		}
		seen[i.Code] = true
		if i.Status < 400 || i.Status > 599 || i.Title == "" {
			t.Errorf("%s: status %d, title %q", i.Code, i.Status, i.Title)
		}
		if p := problem.New(i.Code, "d"); p.Status != i.Status || p.Type != "/docs#problem-"+string(i.Code) {
			t.Errorf("%s renders as %d %s", i.Code, p.Status, p.Type)
		}
	}
}
