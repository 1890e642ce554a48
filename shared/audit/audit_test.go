package audit_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"outpost/shared/audit"
)

func TestDiffNamesWhatIsNoLongerTheSame(t *testing.T) {
	before := map[string]string{"plan": "pro", "state": "active", "gone": "x"}
	got := audit.Diff(before, map[string]string{"state": "active", "plan": "free", "new": "y", "empty": ""})
	want := []audit.Change{{"gone", "x", ""}, {"new", "", "y"}, {"plan", "pro", "free"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if len(before) != 3 || audit.Diff(nil, nil) != nil {
		t.Error("a diff changes what it compares, or finds something in nothing")
	}
}

func TestAnEventIsBounded(t *testing.T) {
	huge := strings.Repeat("ö", 100_000)
	e := audit.Event{Target: huge, Detail: huge, Changes: make([]audit.Change, 1000)}
	e.Changes[0] = audit.Change{Field: huge, Before: huge, After: huge}
	b := e.Bounded()
	if len(b.Target)+len(b.Detail)+len(b.Changes[0].Before) > 1000 || len(b.Changes) > 20 {
		t.Errorf("%d bytes of target, %d of detail, %d changes", len(b.Target), len(b.Detail), len(b.Changes))
	}
	for _, s := range []string{b.Target, b.Detail, b.Changes[0].Field} {
		if !utf8.ValidString(s) || !strings.HasSuffix(s, "…") {
			t.Errorf("cut to %q", s)
		}
	}
	if e.Changes[0].Field != huge {
		t.Error("the event itself was changed")
	}
	small := audit.Event{Target: "run_1", Detail: "x"}
	if !reflect.DeepEqual(small.Bounded(), small) {
		t.Error("a small event was changed")
	}
}
