package lambdahost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"outpost/infra/local/child"
	"outpost/shared/clock"
	"outpost/shared/id"
)

// process is one warm copy of a function with a Runtime API of its own.
type process struct {
	name                    string
	cmd                     *exec.Cmd
	next                    chan invocation // what /next hands out
	results                 chan result
	ended                   chan struct{} // closed when the process has
	doomed                  atomic.Bool   // killed, and may not have ended yet
	busy                    bool          // guarded by the pool
	ready, answered         func()
	onceReady, onceAnswered sync.Once
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
}

type result struct {
	id      string
	payload []byte
	err     error
}

// start executes the function with a Runtime API for it alone.
func (p *pool) start() (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	proc := &process{name: p.Name, next: make(chan invocation), results: make(chan result, 1), ended: make(chan struct{}),
		ready:    func() { p.ready.Store(int64(time.Since(began))) },
		answered: func() { p.firstAnswer.Store(int64(time.Since(began))) }}
	server := &http.Server{Handler: proc.runtimeAPI(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()

	proc.cmd = exec.Command(p.Path)
	proc.cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}, p.Env...)
	proc.cmd.Dir = "/"
	out := &prefixed{w: p.host.logs, prefix: p.Name}
	proc.cmd.Stdout, proc.cmd.Stderr = out, out
	proc.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(proc.cmd); err != nil {
		server.Close()
		return nil, err
	}
	p.host.wg.Go(func() {
		go func() {
			select {
			case <-p.host.ctx.Done():
				proc.kill()
			case <-proc.ended:
			}
		}()
		_ = proc.cmd.Wait()
		close(proc.ended)
		server.Close()
	})
	return proc, nil
}

func (proc *process) kill() {
	proc.doomed.Store(true)
	_ = proc.cmd.Process.Kill()
}

func (proc *process) dead() bool {
	select {
	case <-proc.ended:
		return true
	default:
		return proc.doomed.Load()
	}
}

// errGone means that the process ended before it took the invocation.
var errGone = &Error{"Runtime.ExitError", "the function exited before it took the invocation"}

// serve hands the process one invocation and waits for its result.
func (proc *process) serve(payload []byte, timeout time.Duration) ([]byte, error) {
	in := invocation{id: id.NewULID(clock.System.Now()), payload: payload, deadline: time.Now().Add(timeout)}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case proc.next <- in:
	case r := <-proc.results: // an error of its initialisation
		proc.kill()
		return nil, r.err
	case <-proc.ended:
		return nil, errGone
	case <-timer.C:
		proc.kill()
		return nil, &Error{"Sandbox.Timedout", fmt.Sprintf("%s was not ready after %s", proc.name, timeout)}
	}
	for {
		select {
		case r := <-proc.results:
			if r.id == in.id {
				return r.payload, r.err
			}
		case <-proc.ended:
			return nil, &Error{"Runtime.ExitError", proc.name + " exited during the invocation"}
		case <-timer.C:
			proc.kill()
			return nil, &Error{"Sandbox.Timedout", fmt.Sprintf("%s timed out after %s", proc.name, timeout)}
		}
	}
}

func (proc *process) runtimeAPI() http.Handler {
	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		proc.onceReady.Do(proc.ready)
		select {
		case in := <-proc.next:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", in.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(in.deadline.UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:"+proc.name)
			_, _ = w.Write(in.payload)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST "+base+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
		if err != nil {
			body, err = nil, &Error{"Function.ResponseSizeTooLarge", "the answer is larger than 6 MB or was cut"}
		}
		proc.finish(w, r.PathValue("id"), body, err)
	})
	failed := func(w http.ResponseWriter, r *http.Request) {
		e := &Error{}
		if err := json.NewDecoder(io.LimitReader(r.Body, maxPayload)).Decode(e); err != nil || e.Type == "" {
			e.Type = "Runtime.Unknown"
		}
		proc.finish(w, r.PathValue("id"), nil, e)
	}
	mux.HandleFunc("POST "+base+"invocation/{id}/error", failed)
	mux.HandleFunc("POST "+base+"init/error", failed)
	return mux
}

func (proc *process) finish(w http.ResponseWriter, id string, payload []byte, err error) {
	proc.onceAnswered.Do(proc.answered)
	select {
	case proc.results <- result{id, payload, err}:
	case <-proc.ended:
	}
	w.WriteHeader(http.StatusAccepted)
}

// prefixed writes whole lines after a function's name.
type prefixed struct {
	w      io.Writer
	prefix string
	rest   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		line := strings.TrimRight(string(p.rest[:i]), "\r")
		p.rest = p.rest[i+1:]
		if _, err := fmt.Fprintf(p.w, "%s %s\n", p.prefix, line); err != nil {
			return len(b), err
		}
	}
}

// lineWriter lets many write lines to one writer.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
