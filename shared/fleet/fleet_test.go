package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"

	"outpost/infra/local/ecs"
	"outpost/infra/local/sdktest"
	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/id"
	"outpost/shared/topology"
)

const cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/outpost"

// local is the local ECS with one family, whose containers
// sleep and, first in their namespace, hear no TERM.
type local struct {
	*ecs.Service
	*fleet.Client
	mu     sync.Mutex
	events [][]byte
	refuse string
}

func newLocal(t *testing.T) *local {
	l := &local{}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := ecs.Open(ctx, ecs.Options{Cluster: cluster, Dir: t.TempDir(), StopTimeout: 10 * time.Millisecond, Clock: clock.System,
		Families: map[string]ecs.Definition{topology.TaskFamily("workers", "claude"): {Path: "/bin/sleep", Args: []string{"600"}}},
		Deliver: func(_ context.Context, event []byte) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, event)
			return nil
		},
		Refuse: func(string) string { return l.refuse },
		Log:    t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	l.Service = s
	l.Client = fleet.NewClient(ecssdk.NewFromConfig(sdktest.Config(t, s.Handler())), fleet.Place{Cluster: cluster, Family: "workers", Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}})
	return l
}

func newContainer() fleet.Container {
	now := clock.System.Now()
	return fleet.Container{Tenant: id.New(id.Tenant, now), Run: id.ForRun(id.New(id.Task, now), 1), Attempt: 2, Agent: "claude",
		Env: map[string]string{"A": "1", "B": "2", "C": "3", "D": "4", "E": "5"}}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		<-clock.System.After(5 * time.Millisecond)
	}
}

func TestAnAttemptHasOneContainerAndItsEndFindsTheWayBack(t *testing.T) {
	l, ctx, k := newLocal(t), context.Background(), newContainer()
	arn, err := l.Launch(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := l.Launch(ctx, k); err != nil || again != arn {
		t.Errorf("launched again: %s, %v, first %s", again, err, arn)
	}
	if n := len(l.Running()); n != 1 {
		t.Errorf("%d containers run", n)
	}
	if s, stopped, err := l.Look(ctx, arn); err != nil || stopped {
		t.Errorf("while it runs: %+v, %v, %v", s, stopped, err)
	}
	eventually(t, "the container has stopped", func() bool {
		stopped, err := l.Stop(ctx, arn, "a test")
		if err != nil {
			t.Fatal(err)
		}
		if stopped && len(l.Running()) != 0 {
			t.Fatal("it is said to have stopped and runs")
		}
		return stopped
	})
	eventually(t, "its event came", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.events) > 0
	})
	got, err := fleet.ParseStopped(l.events[0])
	want := fleet.Stopped{Tenant: k.Tenant, Run: k.Run, Attempt: 2, Container: arn, ExitCode: 137, StopCode: "UserInitiated", Reason: "a test"}
	if err != nil || got != want {
		t.Errorf("event: %+v, %v", got, err)
	}
	if s, stopped, err := l.Look(ctx, arn); err != nil || !stopped || s != want {
		t.Errorf("who looks sees %+v, %v, %v, the event told %+v", s, stopped, err, want)
	}
	if again, err := l.Launch(ctx, k); err != nil || again != arn || len(l.Running()) != 0 {
		t.Errorf("launched again after its end: %s, %v, running %v", again, err, l.Running())
	}
}

func TestAContainerThatIsNotKnownHasStopped(t *testing.T) {
	l := newLocal(t)
	if stopped, err := l.Stop(context.Background(), strings.Replace(cluster, ":cluster/", ":task/", 1)+"/none", "a test"); err != nil || !stopped {
		t.Errorf("%v, %v", stopped, err)
	}
	if s, stopped, err := l.Look(context.Background(), strings.Replace(cluster, ":cluster/", ":task/", 1)+"/none"); err != nil || !stopped || s.ExitCode != -1 {
		t.Errorf("%+v, %v, %v", s, stopped, err)
	}
}

// A container that waits for its image or for capacity, or is being stopped,
// must not be taken for one that has stopped, and no answer is no stop.
func TestALookBelievesOnlyWhatItIsTold(t *testing.T) {
	task := func(rest string) string {
		return `{"failures":[],"tasks":[{"taskArn":"arn","createdAt":1764342000.5,` + rest + `}]}`
	}
	for _, c := range []struct {
		why     string
		answer  answering
		stopped bool
		exit    int
		fails   bool
	}{
		{"it waits for capacity", answering{body: task(`"lastStatus":"PROVISIONING","desiredStatus":"RUNNING"`)}, false, 0, false},
		{"it waits for its image", answering{body: task(`"lastStatus":"PENDING","desiredStatus":"RUNNING","containers":[{"name":"worker","lastStatus":"PENDING"}]`)}, false, 0, false},
		{"it is being activated", answering{body: task(`"lastStatus":"ACTIVATING","desiredStatus":"RUNNING"`)}, false, 0, false},
		{"it runs", answering{body: task(`"lastStatus":"RUNNING","desiredStatus":"RUNNING"`)}, false, 0, false},
		{"it was told to stop and runs", answering{body: task(`"lastStatus":"RUNNING","desiredStatus":"STOPPED","stopCode":"UserInitiated"`)}, false, 0, false},
		{"it is stopping", answering{body: task(`"lastStatus":"STOPPING","desiredStatus":"STOPPED"`)}, false, 0, false},
		{"a status that nobody knows", answering{body: task(`"lastStatus":"DREAMING"`)}, false, 0, false},
		{"its network is being taken down", answering{body: task(`"lastStatus":"DEPROVISIONING","containers":[{"name":"worker","exitCode":9}]`)}, true, 9, false},
		{"it never ran", answering{body: task(`"lastStatus":"STOPPED","stopCode":"TaskFailedToStart","containers":[{"name":"worker"}]`)}, true, -1, false},
		{"it is forgotten", answering{body: `{"tasks":[],"failures":[{"arn":"arn","reason":"MISSING"}]}`}, true, -1, false},
		{"another failure", answering{body: `{"tasks":[],"failures":[{"arn":"arn","reason":"AGENT"}]}`}, false, 0, true},
		{"an empty answer", answering{body: `{}`}, false, 0, true},
		{"throttled", answering{status: 400, code: "ThrottlingException", text: "Rate exceeded"}, false, 0, true},
		{"no permission", answering{status: 400, code: "AccessDeniedException", text: "not authorized"}, false, 0, true},
		{"no answer", answering{}, false, 0, true},
	} {
		if c.answer.body != "" {
			c.answer.status = http.StatusOK
		}
		client := fleet.NewClient(ecssdk.NewFromConfig(sdktest.Config(t, &c.answer)), fleet.Place{Cluster: cluster})
		s, stopped, err := client.Look(context.Background(), "arn")
		if stopped != c.stopped || (err != nil) != c.fails || stopped && (s.ExitCode != c.exit || s.Container != "arn") {
			t.Errorf("%s: %+v, %v, %v", c.why, s, stopped, err)
		}
	}
}

func TestFailuresInTheAnswer(t *testing.T) {
	for reason, want := range map[string]error{
		"RESOURCE:CPU": fleet.ErrNoCapacity,
		"RESOURCE:ENI": fleet.ErrNoCapacity,
		"Capacity is unavailable at this time. Please try again later or in a different availability zone": fleet.ErrNoCapacity,
		"MISSING": fleet.ErrRefused,
	} {
		l := newLocal(t)
		l.refuse = reason
		if _, err := l.Launch(context.Background(), newContainer()); !errors.Is(err, want) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// answering is ECS giving one answer to everything; it keeps the requests.
type answering struct {
	status     int
	code, text string
	body       string // in place of an error
	bodies     []string
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.bodies = append(a.bodies, string(body))
	if a.status == 0 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	w.Header().Set("X-Amzn-ErrorType", a.code)
	w.WriteHeader(a.status)
	if a.body != "" {
		_, _ = io.WriteString(w, a.body)
		return
	}
	fmt.Fprintf(w, `{"__type":%q,"message":%q}`, a.code, a.text)
}

func TestFailedCallsAreClassified(t *testing.T) {
	unclear := errors.New("unclear")
	for _, c := range []struct {
		why    string
		answer answering
		want   error
	}{
		{"throttled", answering{status: 400, code: "ThrottlingException", text: "Rate exceeded"}, fleet.ErrNoCapacity},
		{"Fargate is full", answering{status: 400, code: "ClientException", text: "Capacity is unavailable at this time."}, fleet.ErrNoCapacity},
		{"the account's quota", answering{status: 400, code: "ClientException", text: "You've reached the limit on the number of vCPUs you can run concurrently"}, fleet.ErrNoCapacity},
		{"no such task definition", answering{status: 400, code: "ClientException", text: "TaskDefinition not found."}, fleet.ErrRefused},
		{"no permission", answering{status: 400, code: "AccessDeniedException", text: "not authorized"}, fleet.ErrRefused},
		{"the service failed: it may have launched", answering{status: 500, code: "ServerException", text: "sorry"}, unclear},
		{"no answer: it may have launched", answering{}, unclear},
	} {
		client := fleet.NewClient(ecssdk.NewFromConfig(sdktest.Config(t, &c.answer)), fleet.Place{Cluster: cluster, Family: "workers", Subnets: []string{"subnet-1"}})
		_, err := client.Launch(context.Background(), newContainer())
		if want := c.want; err == nil || errors.Is(err, fleet.ErrNoCapacity) != (want == fleet.ErrNoCapacity) || errors.Is(err, fleet.ErrRefused) != (want == fleet.ErrRefused) {
			t.Errorf("%s: %v, want %v", c.why, err, want)
		}
	}
}

func TestEqualContainersAreEqualRequests(t *testing.T) {
	// ECS refuses a client token that comes back with other parameters, and a
	// map has no order.
	a := &answering{status: 500, code: "ServerException"}
	client := fleet.NewClient(ecssdk.NewFromConfig(sdktest.Config(t, a)), fleet.Place{Cluster: cluster, Family: "workers", Subnets: []string{"subnet-1"}})
	k := newContainer()
	for range 20 {
		_, _ = client.Launch(context.Background(), k)
	}
	for _, body := range a.bodies {
		if body != a.bodies[0] {
			t.Fatalf("two requests differ:\n%s\n%s", a.bodies[0], body)
		}
	}
	if len(a.bodies) != 20 || !strings.Contains(a.bodies[0], `"capacityProvider":"FARGATE_SPOT"`) {
		t.Errorf("%d requests, the first: %s", len(a.bodies), a.bodies[0])
	}
	k.OnDemand = true
	_, _ = client.Launch(context.Background(), k)
	if last := a.bodies[20]; !strings.Contains(last, `"capacityProvider":"FARGATE"`) {
		t.Errorf("on demand: %s", last)
	}
}
