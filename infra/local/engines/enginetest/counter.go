package enginetest

import (
	"net/http"
	"strings"
	"sync"
)

// Counter is a transport that counts the calls that it carries to the engine; a
// call that the client tries again is one.
type Counter struct {
	mu    sync.Mutex
	seen  map[string]bool // invocation ids of the SDK, which its tries share
	calls map[string]int  // by operation
}

// RoundTrip counts one request and sends it on.
func (c *Counter) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	if c.seen == nil {
		c.seen, c.calls = map[string]bool{}, map[string]int{}
	}
	if id := r.Header.Get("Amz-Sdk-Invocation-Id"); !c.seen[id] {
		c.seen[id] = true
		c.calls[operation]++
	}
	c.mu.Unlock()
	return Transport.RoundTrip(r)
}

// Calls is how many calls there were.
func (c *Counter) Calls() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, calls := range c.calls {
		n += calls
	}
	return n
}

// Take returns the calls by operation, and forgets them.
func (c *Counter) Take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.calls
	c.calls = map[string]int{}
	if taken == nil {
		taken = map[string]int{}
	}
	return taken
}
