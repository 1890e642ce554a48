package compare_test

import (
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/compare"
	"outpost/shared/task"
)

func ptr[T any](v T) *T { return &v }

func TestBestFirstAndReasonsBelow(t *testing.T) {
	lines := compare.Lines(client.Task{Runs: []client.Run{
		{Number: 1, Agent: "claude", Model: "m1", State: task.Failed, Reason: &client.Reason{Code: task.ReasonNoChanges, Detail: "It only\nlooked."}},
		{Number: 2, Agent: "codex", Model: "m2", State: task.Succeeded, Rank: ptr(2), Patch: &client.Patch{Files: 2, Additions: 10, Deletions: 3},
			Verify: &client.Verify{State: task.VerifyFailed, ExitCode: ptr(2)}, Usage: &client.Usage{InputTokens: 1234567, OutputTokens: 89}, DurationSeconds: ptr(61.25)},
		{Number: 3, Agent: "gemini", Model: "m3", State: task.Succeeded, Rank: ptr(1), Patch: &client.Patch{Files: 1, Additions: 1},
			Verify: &client.Verify{State: task.VerifyPassed, ExitCode: ptr(0)}, Usage: &client.Usage{InputTokens: 10, OutputTokens: 999, CostUSD: ptr(1.239)}, DurationSeconds: ptr(3.0)},
		{Number: 4, Agent: "grok", Model: "m4", State: task.Running},
	}}, false)
	want := `
RANK  RUN  AGENT   MODEL  STATE      VERIFY      FILES   +  -  TOKENS IN  OUT   COST  SECONDS
   1    3  gemini  m3     succeeded  passed          1   1  0         10  999  $1.24      3.0
   2    2  codex   m2     succeeded  failed (2)      2  10  3  1,234,567   89      ?     61.2
   -    1  claude  m1     failed     -               -   -  -          -    -      -        -
   -    4  grok    m4     running    -               -   -  -          -    -      -        -
run 1 (claude): The agent ended without changing a file. It only looked.`
	if got := "\n" + strings.Join(lines, "\n"); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestATotalSaysWhetherItIsWhole(t *testing.T) {
	known := client.Run{Usage: &client.Usage{CostUSD: ptr(0.5)}}
	for _, c := range []struct {
		why   string
		runs  []client.Run
		usd   float64
		whole bool
	}{
		{"all known", []client.Run{known, known, {}}, 1, true},
		{"a model of unknown price", []client.Run{known, {Usage: &client.Usage{}}}, 0.5, false},
	} {
		if usd, whole := compare.Total(client.Task{Runs: c.runs}); usd != c.usd || whole != c.whole {
			t.Errorf("%s: got %v %t", c.why, usd, whole)
		}
	}
}

func TestCostsShowTheCentsThatMatter(t *testing.T) {
	for _, c := range []struct {
		usd  *float64
		want string
	}{{nil, "?"}, {ptr(0.0), "$0.00"}, {ptr(0.00123), "$0.00123"}, {ptr(12.345), "$12.35"}, {ptr(12.344), "$12.34"}} {
		if got := compare.Cost(c.usd); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestAReasonOfANewerOutpostIsStillTold(t *testing.T) {
	if got := compare.Why(client.Run{Reason: &client.Reason{Code: "new_code", Detail: "d"}}); got != "new_code. d" {
		t.Errorf("got %q", got)
	}
}
