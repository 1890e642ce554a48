// Package clock is the only source of time in Outpost. Production code takes a
// Clock; tests pass a Manual one and move it, so no test sleeps.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time and wakes a waiter after a duration.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives once, d after the call. A
	// non-positive d fires at once.
	After(d time.Duration) <-chan time.Time
}

// System is the machine's clock, in UTC.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time                         { return time.Now().UTC() }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Manual is a clock that stands still until Advance moves it. It is safe for
// concurrent use.
type Manual struct {
	mu      sync.Mutex
	now     time.Time
	waiters []waiter
}

type waiter struct {
	at time.Time
	c  chan time.Time
}

// NewManual returns a Manual clock that shows start.
func NewManual(start time.Time) *Manual { return &Manual{now: start.UTC()} }

// Now returns the time that the clock shows.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After returns a channel that fires when Advance has moved the clock by d.
func (m *Manual) After(d time.Duration) <-chan time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan time.Time, 1)
	if d <= 0 {
		c <- m.now
		return c
	}
	m.waiters = append(m.waiters, waiter{at: m.now.Add(d), c: c})
	return c
}

// Advance moves the clock forward and fires every waiter whose time has come.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	rest := m.waiters[:0]
	for _, w := range m.waiters {
		if w.at.After(m.now) {
			rest = append(rest, w)
			continue
		}
		w.c <- m.now
	}
	m.waiters = rest
}

// Waiters returns how many After calls have not fired yet, so that a test can
// wait until the code under test is waiting before it moves the clock.
func (m *Manual) Waiters() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiters)
}
