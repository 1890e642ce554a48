// Package lambdahost runs the real function binaries over the real Lambda
// Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html):
// a process is started when an invocation finds none idle, serves one at a
// time, and stays warm. A process that dies or runs too long fails its
// invocation as Lambda would.
package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxPayload bounds a request or an answer, in bytes, as Lambda does.
const maxPayload = 6 << 20

// maxProcesses bounds the processes of one function; more invocations wait.
const maxProcesses = 8

// Function is one function that the host runs.
type Function struct {
	Name    string
	Path    string // of its binary
	Env     []string
	Timeout time.Duration
}

// Error is the failure of an invocation: the function's own, or the host's,
// with the names that Lambda uses.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Host runs functions until its context ends.
type Host struct {
	ctx       context.Context
	logs      io.Writer
	functions map[string]*pool
	wg        sync.WaitGroup
}

// New returns a host of functions. Their output goes to logs, each line after
// the function's name.
func New(ctx context.Context, functions []Function, logs io.Writer) *Host {
	h := &Host{ctx: ctx, logs: &lineWriter{w: logs}, functions: map[string]*pool{}}
	for _, f := range functions {
		h.functions[f.Name] = &pool{host: h, Function: f, slots: make(chan struct{}, maxProcesses)}
	}
	return h
}

// Invoke runs a function and returns its answer. A failed function is an
// *Error.
func (h *Host) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	p := h.functions[name]
	if p == nil {
		return nil, &Error{"ResourceNotFoundException", "no function " + name}
	}
	if len(payload) > maxPayload {
		return nil, &Error{"RequestEntityTooLargeException", "the payload is larger than 6 MB"}
	}
	return p.invoke(ctx, payload)
}

// Kill kills one process of a function with SIGKILL, a busy one first, and
// tells whether there was one.
func (h *Host) Kill(name string) bool {
	p := h.functions[name]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, busy := range []bool{true, false} {
		for _, proc := range p.processes {
			if proc.busy == busy {
				proc.kill()
				return true
			}
		}
	}
	return false
}

// Close waits until every process has ended; the context must have ended.
func (h *Host) Close() { h.wg.Wait() }

// Stats are what a function cost so far.
type Stats struct {
	Invocations int64
	ColdStarts  int64
	Ready       time.Duration // from exec to the first call of next, of the last cold start
	FirstAnswer time.Duration // from exec to its first answer
}

// Stats returns the figures of every function.
func (h *Host) Stats() map[string]Stats {
	out := map[string]Stats{}
	for name, p := range h.functions {
		out[name] = Stats{p.invocations.Load(), p.coldStarts.Load(), time.Duration(p.ready.Load()), time.Duration(p.firstAnswer.Load())}
	}
	return out
}

// pool is the processes of one function.
type pool struct {
	Function
	host  *Host
	slots chan struct{} // one an invocation

	invocations, coldStarts, ready, firstAnswer atomic.Int64

	mu        sync.Mutex
	processes []*process
}

func (p *pool) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.host.ctx.Done():
		return nil, p.host.ctx.Err()
	}
	p.invocations.Add(1)
	for {
		proc, warm, err := p.take()
		if err != nil {
			return nil, &Error{"Runtime.InvalidEntrypoint", err.Error()}
		}
		answer, err := proc.serve(payload, p.Timeout)
		p.mu.Lock()
		proc.busy = false
		p.mu.Unlock()
		if warm && errors.Is(err, errGone) {
			continue // it died idle and never saw the invocation
		}
		return answer, err
	}
}

// take returns a warm idle process, marked busy, or a new one.
func (p *pool) take() (proc *process, warm bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alive := p.processes[:0]
	var idle *process
	for _, proc := range p.processes {
		if !proc.dead() {
			alive = append(alive, proc)
			if !proc.busy {
				idle = proc
			}
		}
	}
	p.processes = alive
	if idle != nil {
		idle.busy = true
		return idle, true, nil
	}
	proc, err = p.start()
	if err != nil {
		return nil, false, fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.coldStarts.Add(1)
	proc.busy = true
	p.processes = append(p.processes, proc)
	return proc, false, nil
}
