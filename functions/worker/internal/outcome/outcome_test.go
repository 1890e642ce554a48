package outcome_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"outpost/functions/worker/internal/outcome"
	"outpost/shared/task"
)

func TestDecide(t *testing.T) {
	refused := &outcome.Failure{Reason: task.ReasonProviderUnauthorized, Detail: "401"}
	crashed := &outcome.Failure{Reason: task.ReasonAgentFailed, Detail: "exit code 1"}
	for _, c := range []struct {
		why    string
		facts  outcome.Facts
		state  task.State
		reason task.Reason
	}{
		{"changes and no complaint", outcome.Facts{Changed: true}, task.Succeeded, ""},
		{"no complaint and no changes", outcome.Facts{}, task.Failed, task.ReasonNoChanges},
		{"no changes because the provider refused", outcome.Facts{Provider: refused}, task.Failed, task.ReasonProviderUnauthorized},
		{"a refusal that was overcome", outcome.Facts{Provider: refused, Changed: true}, task.Succeeded, ""},
		{"a complaint, changes or not", outcome.Facts{AgentError: crashed, Changed: true}, task.Failed, task.ReasonAgentFailed},
		{"a cancel beats what the agent failed with", outcome.Facts{Err: fmt.Errorf("git: %w", outcome.ErrCancelled), AgentError: crashed}, task.Cancelled, task.ReasonCancelled},
		{"the deadline", outcome.Facts{Err: outcome.ErrDeadline, Changed: true}, task.TimedOut, task.ReasonDeadline},
		{"a failure with a reason", outcome.Facts{Err: outcome.Fail(task.ReasonSetupFailed, "")}, task.Failed, task.ReasonSetupFailed},
		{"an error of the worker", outcome.Facts{Err: errors.New("disk full"), Changed: true}, task.Failed, task.ReasonWorkerFailed},
	} {
		if state, reason, _ := outcome.Decide(c.facts); state != c.state || reason != c.reason {
			t.Errorf("%s: %s/%s, want %s/%s", c.why, state, reason, c.state, c.reason)
		}
	}
}

func TestTheDeadlineTellsWhatTheProviderSaid(t *testing.T) {
	f := outcome.Facts{Err: outcome.ErrDeadline, Provider: &outcome.Failure{Detail: "connection refused"}}
	if _, _, detail := outcome.Decide(f); !strings.Contains(detail, "connection refused") {
		t.Errorf("detail %q", detail)
	}
}

func TestADetailIsOneShortLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := outcome.Detail(rapid.String().Draw(t, "text") + strings.Repeat(rapid.StringN(1, 3, 9).Draw(t, "more"), rapid.IntRange(0, 300).Draw(t, "times")))
		if len(got) > outcome.MaxDetail || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00") {
			t.Fatalf("%q", got)
		}
	})
}
