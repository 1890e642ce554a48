package table_test

import (
	"context"
	"net/http"
	"sync"
	"time"

	"outpost/infra/local/engines/enginetest"
)

// width is how many requests are on a line at once.
const width = 8

// line carries requests to the engine, so many at a time and with faults; the
// others queue before it. It tells each call when its requests were on it, which
// is when the engine can have acted: an interval much shorter than the call, so
// that a checker of histories has few orders to try. An order that fits these
// intervals fits the calls too.
type line struct {
	faults *enginetest.Flaky
	places chan struct{}
	began  time.Time
}

func newLine(f *enginetest.Flaky) *line { return &line{f, make(chan struct{}, width), time.Now()} }

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.places <- struct{}{}
	defer func() { <-l.places }()
	sent := time.Since(l.began)
	res, err := l.faults.RoundTrip(r)
	refused := err == nil && res.StatusCode != http.StatusOK
	if w, ok := r.Context().Value(windowKey{}).(*window); ok && !refused {
		w.note(operation(r), sent, time.Since(l.began))
	}
	return res, err
}

// window is when the requests of a call that the engine did not refuse were on
// the line, by operation.
type window struct {
	mu    sync.Mutex
	times map[string][2]time.Duration
}

type windowKey struct{}

// through returns a context whose requests the window sees.
func (w *window) through(ctx context.Context) context.Context {
	return context.WithValue(ctx, windowKey{}, w)
}

func (w *window) note(operation string, sent, answered time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times == nil {
		w.times = map[string][2]time.Duration{}
	}
	if earlier, ok := w.times[operation]; ok {
		sent = earlier[0]
	}
	w.times[operation] = [2]time.Duration{sent, answered}
}

// of returns from when to when an operation was on the line, and whether it was.
func (w *window) of(operation string) (from, to time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.times[operation]
	return t[0], t[1], ok
}
