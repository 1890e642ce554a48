package client

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	maxTries  = 5
	firstStep = 250 * time.Millisecond
	lastStep  = 5 * time.Second
	// maxAfter is the longest Retry-After that is waited for: the window of a rate
	// limit. A quota that comes back tomorrow is told at once.
	maxAfter = time.Minute
)

// pause tells whether to try again after err, the try-th in a row, and when:
// after what the answer asks for, or a random time up to a bound that doubles.
func (c *Client) pause(try int, err error) (time.Duration, bool) {
	if try >= maxTries {
		return 0, false
	}
	step := min(firstStep<<(try-1), lastStep)
	var refused *Error
	var unreachable *Unreachable
	switch {
	case errors.As(err, &refused):
		if !refused.Retryable || refused.RetryAfter > maxAfter {
			return 0, false
		}
		// A crowd that was told the same second should not come back in one.
		return refused.RetryAfter + c.spread(step), true
	case errors.As(err, &unreachable):
		return c.spread(step), true
	}
	return 0, false
}

func jitter(d time.Duration) time.Duration { return rand.N(d) + 1 }
