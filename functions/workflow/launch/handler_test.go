package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/id"
	"outpost/shared/metric"
	"outpost/shared/runner"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

// launcherWorld is a world with Launch in it.
type launcherWorld struct {
	*settlementtest.World
	name    string // of the table
	tickets *token.Signer
	settler settlement.Settler
	spot    bool
}

func newWorld(t testing.TB) *launcherWorld {
	c := clock.NewManual(settlementtest.Start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	w := settlementtest.New(t, table.New(client, name, c), c, "pro")
	tickets, err := token.NewSigner(make([]byte, 32))
	w.Must(err)
	return &launcherWorld{World: w, name: name, tickets: tickets, settler: settlement.Settler{Store: w.Table, Clock: c, Timing: task.DefaultTiming}}
}

func (w *launcherWorld) handler(cut *settlementtest.Cut) handler {
	store := w.Table
	if cut != nil {
		store = table.New(enginetest.Client(w.T, cut), w.name, w.Clock)
	}
	return handler{store: store, workflow: w.Workflow(cut), fleet: w.Fleet(cut), tickets: w.tickets,
		clock: w.Clock, timing: task.DefaultTiming, apiURL: "https://api.example.com", spot: w.spot, metrics: metric.New("Outpost", w.T.Output())}
}

// launch runs the handler for a run under a task token.
func (w *launcherWorld) launch(cut *settlementtest.Cut, r task.Run, taskToken string) error {
	return w.handler(cut).handle(context.Background(), request{w.Tenant, r.ID, r.Starts, taskToken})
}

// lose ends the run's attempt as its container's last event does, and settles.
func (w *launcherWorld) lose(r task.Run) task.Decision {
	w.T.Helper()
	ctx := context.Background()
	r = w.Read(r.ID)
	_, err := w.EndAttempt(ctx, w.Tenant, r.ID, r.Attempt.Number, task.AttemptEnd{Cause: task.LeaseExpired, At: w.Clock.Now().Add(time.Hour)})
	w.Must(err)
	d, err := w.settler.Settle(ctx, w.Tenant, r.ID, r.Starts)
	w.Must(err)
	return d
}

func TestAWorkerIsToldItsRunAndHoldsATicketForItsAttemptAlone(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.StartNext()
	w.Must(w.launch(nil, r, "t1"))
	k, ok := w.Launched(r.ID, 1)
	if !ok {
		t.Fatal("no container was launched")
	}
	claims, err := w.tickets.Verify(token.Ticket, k.Env[runner.EnvTicket], w.Clock.Now())
	w.Must(err)
	if claims.Tenant != w.Tenant || claims.Run != r.ID || claims.Attempt != 1 {
		t.Errorf("ticket: %+v", claims)
	}
	if len(k.Env) != 4 || k.Env[runner.EnvAPI] != "https://api.example.com" || k.Env[runner.EnvRun] != r.ID || k.Env[runner.EnvAttempt] != "1" {
		t.Errorf("environment: %v", k.Env)
	}
	if !k.OnDemand {
		t.Error("an attempt is launched on Spot, and nobody said so")
	}
	got := w.Read(r.ID)
	now, timing := w.Clock.Now(), task.DefaultTiming
	if got.Attempt.Container == "" || got.Attempt.TaskToken != "t1" || !got.Attempt.LookAt.Equal(now.Add(timing.HeartbeatLease)) || !got.LeaseUntil.Equal(now.Add(timing.ClaimLease)) {
		t.Errorf("run: %+v", got)
	}
	if w.Answered("t1") {
		t.Error("the token was answered while the attempt runs")
	}
}

func TestNothingIsLaunchedForARunThatIsOver(t *testing.T) {
	ctx := context.Background()
	for why, prepare := range map[string]func(*launcherWorld) task.Run{
		"a cancel was requested": func(w *launcherWorld) task.Run {
			r := w.StartNext()
			_, err := w.RequestCancel(ctx, w.Tenant, r.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now())}})
			w.Must(err)
			return r
		},
		"a result is stored": func(w *launcherWorld) task.Run {
			r := w.Running("t0")
			w.Finish(r)
			return r
		},
		"it has ended": func(w *launcherWorld) task.Run {
			r := w.Running("t0")
			w.Finish(r)
			_, err := w.settler.Settle(ctx, w.Tenant, r.ID, r.Starts)
			w.Must(err)
			return r
		},
		"it was started again since": func(w *launcherWorld) task.Run {
			r := w.StartNext()
			r.Starts--
			return r
		},
		"its loss is not settled yet": func(w *launcherWorld) task.Run {
			r := w.Running("t0")
			_, err := w.EndAttempt(ctx, w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: w.Clock.Now()})
			w.Must(err)
			return r
		},
		"there is no such run": func(w *launcherWorld) task.Run {
			return task.Run{ID: id.ForRun(id.New(id.Task, w.Clock.Now()), 1), Starts: 1}
		},
	} {
		t.Run(why, func(t *testing.T) {
			w := newWorld(t)
			w.Submit(1)
			r := prepare(w)
			before := w.Live(r.ID)
			w.Must(w.launch(nil, r, "t1"))
			if live := w.Live(r.ID); !slices.Equal(live, before) {
				t.Errorf("live attempts: %v, before %v", live, before)
			}
			if !w.Answered("t1") {
				t.Error("the token waits for nothing")
			}
		})
	}
}

func TestALostAttemptIsFollowedByOneOnDemandOnceItsContainerHasStopped(t *testing.T) {
	w := newWorld(t)
	w.spot = true
	w.Submit(1)
	r := w.StartNext()
	w.Must(w.launch(nil, r, "t1"))
	if k, _ := w.Launched(r.ID, 1); k.OnDemand {
		t.Error("the first attempt is launched on demand")
	}
	if d := w.lose(r); d.Next != task.NextAgain {
		t.Fatalf("decision: %+v", d)
	}
	w.Must(w.launch(nil, r, "t2")) // the world fails the test on two live containers
	if live := w.Live(r.ID); !slices.Equal(live, []int{2}) {
		t.Errorf("live attempts: %v", live)
	}
	if k, _ := w.Launched(r.ID, 2); !k.OnDemand {
		t.Error("the second attempt is launched on Spot")
	}
}

func TestRefusalsOfTheFleetEndTheAttempt(t *testing.T) {
	for _, c := range []struct {
		err  error
		want task.Cause
		next task.Next
	}{
		{fmt.Errorf("run task: %w: RESOURCE:CPU", fleet.ErrNoCapacity), task.NoCapacity, task.NextWait},
		{fmt.Errorf("run task: %w: no such image", fleet.ErrRefused), task.LaunchFailed, task.NextAgain},
	} {
		w := newWorld(t)
		w.Submit(1)
		r := w.StartNext()
		w.Refuse(c.err)
		w.Must(w.launch(nil, r, "t1"))
		got := w.Read(r.ID)
		if got.Attempt.End.Cause != c.want || !w.Answered("t1") {
			t.Errorf("%v: attempt %+v", c.err, got.Attempt)
		}
		d, err := w.settler.Settle(context.Background(), w.Tenant, r.ID, r.Starts)
		w.Must(err)
		if d.Next != c.next {
			t.Errorf("%v: %+v", c.err, d)
		}
		// With room again the same execution goes on.
		w.Refuse(nil)
		w.Must(w.launch(nil, r, "t2"))
		if live := w.Live(r.ID); !slices.Equal(live, []int{2}) {
			t.Errorf("%v: live attempts afterwards: %v", c.err, live)
		}
	}
}

func TestAnUnclearFailureIsTriedAgainAsTheSameAttempt(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.StartNext()
	w.Refuse(errors.New("no answer"))
	if err := w.launch(nil, r, "t1"); err == nil {
		t.Fatal("Launch claims success")
	}
	if a := w.Read(r.ID).Attempt; !a.Open() || a.Number != 1 {
		t.Errorf("attempt: %+v", a)
	}
	w.Refuse(nil)
	w.Must(w.launch(nil, r, "t2"))
	if live := w.Live(r.ID); !slices.Equal(live, []int{1}) {
		t.Errorf("live attempts: %v", live)
	}
}

func TestALaunchThatWasOvertakenStopsWhatItLaunched(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.StartNext()
	h := w.handler(nil)
	h.fleet = overtaken{w.Fleet(nil), func() {
		w.lose(r)
		_, err := w.BeginAttempt(context.Background(), w.Tenant, r.ID, r.Starts, "t2", true, time.Minute, w.Clock.Now().Add(time.Minute))
		w.Must(err)
	}}
	w.Must(h.handle(context.Background(), request{w.Tenant, r.ID, r.Starts, "t1"}))
	if live := w.Live(r.ID); len(live) != 0 {
		t.Errorf("live attempts: %v", live)
	}
	if a := w.Read(r.ID).Attempt; a.Number != 2 || a.Container != "" || w.Answered("t2") {
		t.Errorf("attempt 2 was touched: %+v", a)
	}
}

// overtaken launches a container while the run moves on to its next attempt.
type overtaken struct {
	settlementtest.Fleet
	meanwhile func()
}

func (o overtaken) Launch(ctx context.Context, k fleet.Container) (string, error) {
	arn, err := o.Fleet.Launch(ctx, k)
	o.meanwhile()
	return arn, err
}

func TestLaunchWaitsUntilTheContainerBeforeHasStopped(t *testing.T) {
	w := newWorld(t)
	h := w.handler(nil)
	slow := &slowFleet{Fleet: w.Fleet(nil), left: 3}
	h.fleet = slow
	done := make(chan error, 1)
	go func() { done <- h.stop(context.Background(), "arn:earlier") }()
	for {
		select {
		case err := <-done:
			w.Must(err)
			if slow.left != 0 {
				t.Errorf("it went on with %d looks to go", slow.left)
			}
			return
		default:
			w.Clock.Advance(stopPoll)
		}
	}
}

func TestLaunchGivesUpInTimeOnAContainerThatDoesNotStop(t *testing.T) {
	w := newWorld(t)
	h := w.handler(nil)
	h.fleet = &slowFleet{Fleet: w.Fleet(nil), left: 1 << 30}
	ctx, cancel := context.WithTimeout(context.Background(), spare/2)
	defer cancel()
	if err := h.stop(ctx, "arn:earlier"); err == nil || ctx.Err() != nil {
		t.Errorf("with too little time left: %v", err)
	}
}

// slowFleet tells only after some looks that a container has stopped.
type slowFleet struct {
	settlementtest.Fleet
	left int
}

func (f *slowFleet) Stop(context.Context, string, string) (bool, error) {
	if f.left > 0 {
		f.left--
		return false, nil
	}
	return true, nil
}

// maxCalls is more than Launch ever makes.
const maxCalls = 40

func TestLaunchSurvivesACrashAtEveryStep(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, scene := range []string{"first attempt", "second attempt", "second attempt after an unknown container"} {
			reached := true
			for calls := 0; reached; calls++ {
				if calls > maxCalls {
					t.Fatal("Launch never ends")
				}
				t.Run(fmt.Sprintf("%s, %d calls, lost answer %v", scene, calls, lost), func(t *testing.T) {
					w := newWorld(t)
					w.Submit(1)
					r := w.StartNext()
					want := 1
					if scene != "first attempt" {
						want = 2
						first := settlementtest.After(1 << 20)
						if scene != "second attempt" {
							first = settlementtest.After(5) // dies before it stores the ARN
						}
						_ = w.launch(first, r, "t1")
						if a := w.Read(r.ID).Attempt; len(w.Live(r.ID)) != 1 || (a.Container == "") != first.Reached() {
							t.Fatalf("the scene is wrong: live %v, attempt %+v", w.Live(r.ID), a)
						}
						w.lose(r)
					}
					cut := settlementtest.After(calls)
					cut.Lost = lost
					_ = w.launch(cut, r, "t2")
					reached = cut.Reached()
					w.Clock.Advance(10 * time.Second) // the ticket must not change with time
					w.Must(w.launch(nil, r, "t3"))    // as the state machine's Retry does
					got := w.Read(r.ID)
					if live := w.Live(r.ID); !slices.Equal(live, []int{want}) {
						t.Errorf("live attempts: %v", live)
					}
					if got.Attempt.Number != want || got.Attempt.Container == "" || got.Attempt.TaskToken != "t3" || got.State != task.Starting {
						t.Errorf("run: %+v", got)
					}
					if l := w.Load(); l.Running != 1 || l.Waiting != 0 {
						t.Errorf("load: %+v", l)
					}
				})
			}
		}
	}
}
