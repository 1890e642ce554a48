// Package stack runs the whole of Outpost on one machine: the function
// binaries, the state machine and the worker that run on AWS, over embedded
// engines and a few hand-made services. It reads the same topology as the CDK
// app.
//
// What differs from AWS:
//   - SQS keeps messages in memory: a restart loses wakeups, which the reaper
//     makes good.
//   - The DynamoDB engine deletes nothing by TTL and has no throttling.
//   - IAM allows a function what the topology says, by kinds of resource, and
//     everything to everyone else.
//   - A container is a process in a PID namespace, with the machine's files, /proc
//     and network, and a process group where the kernel refuses namespaces;
//     agents' CLIs come from the user's cache folder.
//   - Lambda runs at most 8 processes a function and never freezes one.
//   - Step Functions knows the states and fields of run.asl.json alone, and goes
//     on after a token's answer only when the function that had it has returned.
//   - The gateway has no throttling, no TLS and no access log.
//   - KMS has one key, without rotation; Secrets Manager deletes a secret at once,
//     and counts no versions a day.
//   - Stripe is a stand-in, unless a test account's key is given; then webhooks
//     come only through stripe listen or a tunnel. What differs is in package
//     infra/local/stripe.
//   - ECS, KMS, Secrets Manager and Step Functions answer any call that Outpost
//     does not make with 400 and its name.
package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"outpost/infra/local/ecs"
	"outpost/infra/local/engines"
	"outpost/infra/local/gateway"
	"outpost/infra/local/lambdahost"
	"outpost/infra/local/recorder"
	"outpost/infra/local/stepfunctions"
	"outpost/infra/local/triggers"
	"outpost/shared/clock"
	"outpost/shared/platform"
	"outpost/shared/topology"
)

// Options say what to run.
type Options struct {
	Dir      string            // for all data; kept across restarts
	Addr     string            // where the API listens; 127.0.0.1:0 for a free port
	BinDir   string            // build/: functions/ below it, the worker among them
	Agents   string            // folder with the agents' executables
	Settings map[string]string // of topology.Settings, in place of their defaults
	// ReapEvery replaces the schedule's interval; 0 leaves it.
	ReapEvery time.Duration
	// Secrets are the demo tenant's provider keys by name, Plan its plan; pro
	// when empty.
	Secrets map[string]string
	Plan    string
	// ProviderURL, when set, answers in place of every provider.
	ProviderURL string
	// Stripe is a real test account's; empty starts the stand-in, at StripeAddr or
	// a free port.
	Stripe     platform.Stripe
	StripeAddr string
	// StripeForgets keeps the stand-in's state in memory alone: writing it down takes
	// longer with every event that there was.
	StripeForgets bool
	Progress      io.Writer // what a person should read
}

// secretStore is where tenants' secrets are.
func (o Options) secretStore() topology.SecretStore {
	return topology.SecretStore(cmp.Or(o.Settings["OUTPOST_SECRET_STORE"], string(topology.InTable)))
}

// Stack is a running Outpost.
type Stack struct {
	URL      string // of the API
	Demo     Demo
	Stripe   Stripe
	Recorder *recorder.Recorder
	Lambda   *lambdahost.Host
	ECS      *ecs.Service
	States   *stepfunctions.Service
	AWS      aws.Config // of the account, as the local target itself uses it

	cancel context.CancelFunc
	server *http.Server
	stops  []func()
	failed chan error
	work   sync.WaitGroup
	logs   *os.File
	dir    string
	clock  clock.Clock
}

// Start starts Outpost. An error is one sentence for people; nothing is left
// running then.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	// Everything is absolute from here on: the S3 engine changes the working
	// directory.
	for _, path := range []*string{&o.Dir, &o.BinDir, &o.Agents} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, fmt.Errorf("find the working directory: %w", err)
		}
	}
	if store := o.secretStore(); !slices.Contains(topology.SecretStores, store) {
		return nil, fmt.Errorf("OUTPOST_SECRET_STORE is %q: it wants one of %v", store, topology.SecretStores)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	s := &Stack{failed: make(chan error, 8), clock: clock.System, dir: o.Dir}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if err := s.lock(o.Dir); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("the API cannot listen on %s: is something else there? (%w)", o.Addr, err)
	}
	s.stops = append(s.stops, func() { listener.Close() })
	s.URL = "http://" + listener.Addr().String()
	if s.logs, err = os.OpenFile(filepath.Join(o.Dir, "outpost.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	cloud, err := s.startCloud(run, ctx, o)
	if err != nil {
		return nil, err
	}
	s.AWS = cloud.cfg
	if s.Demo, err = cloud.seed(ctx, o); err != nil {
		return nil, fmt.Errorf("set up the demo tenant: %w", err)
	}
	for _, q := range topology.Queues {
		for range q.MaxConcurrency {
			s.work.Go(func() {
				triggers.Poll(run, cloud.sqs(), cloud.queues[q.Name], q, s.Lambda, s.clock, s.logf)
			})
		}
	}
	for _, sch := range topology.Schedules {
		every := sch.Every
		if o.ReapEvery > 0 && sch.Function == "reaper" {
			every = o.ReapEvery
		}
		s.work.Go(func() { triggers.Every(run, sch, every, s.Lambda, s.clock, s.logf) })
	}
	s.server = &http.Server{Handler: gateway.New(s.Lambda, s.clock), ReadHeaderTimeout: 10 * time.Second}
	s.work.Go(func() { _ = s.server.Serve(listener) })
	return s, nil
}

// Failed receives when Outpost cannot go on: an engine has died.
func (s *Stack) Failed() <-chan error { return s.failed }

// Fire invokes a schedule's function now.
func (s *Stack) Fire(ctx context.Context, name string) error {
	for _, sch := range topology.Schedules {
		if sch.Name == name {
			return triggers.Fire(ctx, sch, s.Lambda, s.clock)
		}
	}
	return fmt.Errorf("no schedule %q", name)
}

// Stop stops everything and waits for that. Runs in flight go on when Outpost
// is started again on the same folder.
func (s *Stack) Stop() {
	if s.server != nil {
		ctx, done := context.WithTimeout(context.Background(), 2*time.Second)
		_ = s.server.Shutdown(ctx)
		done()
		s.server.Close()
	}
	s.cancel()
	for _, part := range []interface{ Close() }{closer(s.States), closer(s.ECS), closer(s.Lambda)} {
		part.Close()
	}
	s.work.Wait()
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	if s.logs != nil {
		s.logs.Close()
	}
}

type nothing struct{}

func (nothing) Close() {}

// closer makes a part that was never started one that needs no stopping.
func closer[T any, P interface {
	*T
	Close()
}](p P) interface{ Close() } {
	if p == nil {
		return nothing{}
	}
	return p
}

func (s *Stack) logf(format string, args ...any) {
	fmt.Fprintf(s.logs, "%s local "+format+"\n", append([]any{s.clock.Now().Format(time.RFC3339Nano)}, args...)...)
}

// lock makes sure that one Outpost runs on a folder.
func (s *Stack) lock(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock: %w", err)
	}
	s.stops = append(s.stops, func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("another Outpost is running on %s", dir)
		}
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	return nil
}

// watch fails the stack when an engine dies while it runs.
func (s *Stack) watch(run context.Context, e *engines.Engine) {
	s.stops = append(s.stops, e.Stop)
	go func() {
		select {
		case err := <-e.Died:
			if run.Err() == nil {
				s.failed <- err
			}
		case <-run.Done():
		}
	}()
}
