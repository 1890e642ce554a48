package main

import (
	"testing"
	"time"
)

func TestMomentsAreTimesDaysOrAgo(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"2026-11-23T10:00:00Z":      time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23T10:00:00+02:00": time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
		"2026-11-23":                time.Date(2026, 11, 23, 0, 0, 0, 0, time.Local),
		"36h":                       now.Add(-36 * time.Hour),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-3h", "2026-13-01", "12"} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
