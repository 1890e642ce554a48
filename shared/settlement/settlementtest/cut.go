package settlementtest

import (
	"errors"
	"net/http"
	"sync"
)

// ErrCut is what code under test gets for every call once it is cut off.
var ErrCut = errors.New("cut off from the world")

// Cut stands between code under test and the world. After a number of calls it
// cuts the code off: to the world that is a crash at that very point. A nil Cut
// lets everything through.
type Cut struct {
	// Lost makes it lose the answer of one call only, after which it lets
	// everything through again.
	Lost bool

	mu    sync.Mutex
	after int
	calls int
}

// After returns a Cut that lets so many calls through.
func After(calls int) *Cut { return &Cut{after: calls} }

// Reached tells whether the code under test got as far as the cut.
func (c *Cut) Reached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls > c.after
}

// do makes a call, unless it is cut off.
func (c *Cut) do(call func() error) error {
	if c == nil {
		return call()
	}
	c.mu.Lock()
	c.calls++
	lost := c.Lost && c.calls == c.after+1
	cut := !c.Lost && c.calls > c.after
	c.mu.Unlock()
	if cut {
		return ErrCut
	}
	if err := call(); err != nil || !lost {
		return err
	}
	return ErrCut
}

// RoundTrip makes a Cut the transport of an SDK client.
func (c *Cut) RoundTrip(r *http.Request) (res *http.Response, err error) {
	err = c.do(func() error {
		res, err = http.DefaultTransport.RoundTrip(r)
		return err
	})
	if err != nil {
		if res != nil {
			res.Body.Close()
		}
		return nil, err
	}
	return res, nil
}
