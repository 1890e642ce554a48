package billing_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/billing"
)

// Whoever pays more than once reads it, and nobody else does.
func TestTheSentenceTellsOfWhatGoesOnBeside(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var subs []billing.Subscription
		goOn := map[string]bool{}
		for i := range rapid.IntRange(0, 4).Draw(t, "subscriptions") {
			s := billing.Subscription{ID: string(rune('a' + i)), Status: rapid.SampledFrom(billing.Statuses).Draw(t, "status"), Price: "price_pro", Created: now}
			if rapid.Bool().Draw(t, "ends") {
				s.CancelAt = now.Add(time.Hour)
			}
			if s.Status != "canceled" && s.Status != "incomplete_expired" && s.CancelAt.IsZero() {
				goOn[s.ID] = true
			}
			subs = append(subs, s)
		}
		got, err := billing.Decide(subs, prices, now)
		if err != nil {
			t.Fatal(err)
		}
		delete(goOn, got.Subscription)
		_, tells, _ := strings.Cut(got.Sentence, "beside this one: ")
		if n, _, _ := strings.Cut(tells, "."); (n == "") != (len(goOn) == 0) || n != "" && n != string(rune('0'+len(goOn))) {
			t.Fatalf("%d go on beside: %s", len(goOn), got.Sentence)
		}
	})
}

// What has ended never hides what goes on: whichever is newer, the one that decides
// is over only where none gives a plan and none is left.
func TestWhatHasEndedHidesNothingThatGoesOn(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var subs []billing.Subscription
		goOn := false
		for i := range rapid.IntRange(1, 5).Draw(t, "subscriptions") {
			s := billing.Subscription{ID: string(rune('a' + i)), Status: rapid.SampledFrom(billing.Statuses).Draw(t, "status"), Price: "price_pro",
				Created: now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Hour), UnpaidSince: now.Add(-30 * 24 * time.Hour)}
			goOn = goOn || s.Status != "canceled" && s.Status != "incomplete_expired"
			subs = append(subs, s)
		}
		got, err := billing.Decide(subs, prices, now)
		if err != nil || got.Status.Over() == goOn {
			t.Fatalf("%+v, %v of %+v", got, err, subs)
		}
		for _, s := range subs { // the newest of those that are as good
			if is := got.Plan == "pro"; !is && !s.Status.Over() && s.Created.After(created(subs, got.Subscription)) {
				t.Fatalf("%+v decides, and %+v is newer", got, s)
			}
		}
	})
}

func created(subs []billing.Subscription, id string) time.Time {
	for _, s := range subs {
		if s.ID == id {
			return s.Created
		}
	}
	return time.Time{}
}
