package clock_test

import (
	"testing"
	"time"

	"outpost/shared/clock"
)

func TestAManualClockFiresWhatIsDueAndNothingElse(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := clock.NewManual(start)
	soon, later, past := c.After(time.Second), c.After(time.Minute), c.After(0)
	select {
	case <-past:
	default:
		t.Error("a wait of nothing did not fire")
	}
	c.Advance(time.Second)
	select {
	case at := <-soon:
		if !at.Equal(start.Add(time.Second)) {
			t.Errorf("fired at %s", at)
		}
	default:
		t.Error("a due wait did not fire")
	}
	select {
	case <-later:
		t.Error("a wait fired early")
	default:
	}
	if c.Waiters() != 1 {
		t.Errorf("%d waits are left, want 1", c.Waiters())
	}
}
