package enginetest

import (
	"net/http"
	"sync/atomic"
)

// Counter is a transport that counts the requests that it carries to the
// engine.
type Counter struct{ n atomic.Int32 }

// RoundTrip counts one request and sends it on.
func (c *Counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return Transport.RoundTrip(r)
}

// Calls is how many requests there were.
func (c *Counter) Calls() int { return int(c.n.Load()) }
