package stack_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/infra/local/recorder"
	"outpost/infra/local/stack"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// seen is what was seen of an Outpost while it was hurt: the most at any look,
// and how often things happened.
type seen struct {
	Looks, Slots, Containers int
	Still, Apart             int // looks during which no slot moved, and those of them that saw other than a run in flight for each slot
	Doubles                  int
	Functions, Workers       int // killed
}

func (a *seen) add(b seen) {
	a.Slots, a.Containers = max(a.Slots, b.Slots), max(a.Containers, b.Containers)
	a.Looks += b.Looks
	a.Still += b.Still
	a.Apart += b.Apart
	a.Doubles += b.Doubles
	a.Functions += b.Functions
	a.Workers += b.Workers
}

// watched is a seen in the making.
type watched struct {
	mu   sync.Mutex
	seen seen
}

func (n *watched) note(what func(*seen)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	what(&n.seen)
}

func (n *watched) told(s *stack.Stack) seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen.Doubles = s.ECS.Doubles()
	return n.seen
}

// watch counts slots and containers every 20 ms, until the process is killed. Its
// requests go the way of all others and fail like them; such a look is none.
func watch(s *stack.Stack) *watched {
	n := &watched{}
	engine := httptest.NewServer(s.Recorder)
	store := table.New(dynamodb.NewFromConfig(aws.Config{Region: engines.Region, BaseEndpoint: &engine.URL,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")}), "outpost", clock.System)
	ctx := context.Background()
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			before, err := store.Standing(ctx, s.Demo.Tenant)
			if err != nil {
				continue
			}
			inflight, err := store.CountInflight(ctx) // by several queries
			if err != nil {
				continue
			}
			after, err := store.Standing(ctx, s.Demo.Tenant)
			if err != nil {
				continue
			}
			look := seen{Looks: 1, Slots: max(before.Load.Running, after.Load.Running), Containers: len(s.ECS.Running())}
			if before.Load.Version == after.Load.Version {
				look.Still = 1
				if inflight != after.Load.Running {
					look.Apart = 1
				}
			}
			n.note(func(b *seen) { b.add(look) })
		}
	}()
	return n
}

// seen asks a victim what was seen of it since it was started.
func (v *victim) seen() (s seen) {
	v.t.Helper()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(v.order("seen"), "seen ")), &s); err != nil {
		v.t.Fatal(err)
	}
	return s
}

// hurt injects faults into the engines' traffic and kills functions and workers
// at random.
func (n *watched) hurt(s *stack.Stack, random *rand.Rand) {
	seeded := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), 3)) }
	s.Recorder.Inject(
		&recorder.Rule{Service: "states", Action: "StartExecution", Probability: 0.5, Effect: recorder.DropRequest, Random: seeded()},
		&recorder.Rule{Service: "states", Probability: 0.1, Effect: recorder.LoseAnswer, Random: seeded()},
		&recorder.Rule{Service: "sqs", Action: "SendMessage", Probability: 0.3, Effect: recorder.DropRequest, Random: seeded()},
		&recorder.Rule{Service: "sqs", Action: "SendMessage", Probability: 0.3, Effect: recorder.Duplicate, Random: seeded()},
		&recorder.Rule{Service: "sqs", Probability: 0.1, Effect: recorder.Delay, Delay: 200 * time.Millisecond, Random: seeded()},
		recorder.Conflict(0.1, seeded()),
		&recorder.Rule{Service: "dynamodb", Probability: 0.03, Effect: recorder.LoseAnswer, Random: seeded()},
		&recorder.Rule{Service: "ecs", Action: "RunTask", Probability: 0.1, Effect: recorder.LoseAnswer, Random: seeded()},
	)
	for {
		select {
		case <-clock.System.After(time.Duration(50+random.IntN(250)) * time.Millisecond):
		case <-s.Failed():
			return
		}
		if random.IntN(4) == 0 {
			if running := s.ECS.Running(); len(running) > 0 {
				if s.ECS.Kill(running[random.IntN(len(running))]) {
					n.note(func(b *seen) { b.Workers++ })
				}
			}
			continue
		}
		if s.Lambda.Kill(topology.Functions[random.IntN(len(topology.Functions))].Name) {
			n.note(func(b *seen) { b.Functions++ })
		}
	}
}
