package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/infra/local/engines"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
)

// world is the queue of Stripe's events and its dead-letter queue, on the real
// engine.
type world struct {
	t *testing.T
	*sqs.Client
	dead, live string
}

// newWorld makes queues that show a message again when who received it is dead for
// sure.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, time.Minute)
}

// newWorldOf makes queues that show a message again after a time in hand.
func newWorldOf(t *testing.T, visibility time.Duration) *world {
	t.Helper()
	engine, err := engines.SQS(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Stop)
	w := &world{t: t, Client: sqs.NewFromConfig(aws.Config{Region: engines.Region, BaseEndpoint: &engine.Endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")})}
	again := map[string]string{"VisibilityTimeout": fmt.Sprint(int(visibility.Seconds()))}
	w.dead = w.queue("events-dead.fifo", again)
	out, err := w.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &w.dead, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	w.must(err)
	again["RedrivePolicy"] = `{"deadLetterTargetArn":"` + out.Attributes["QueueArn"] + `","maxReceiveCount":"1"}`
	w.live = w.queue("events.fifo", again)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) queue(name string, attributes map[string]string) string {
	w.t.Helper()
	attributes["FifoQueue"] = "true"
	out, err := w.CreateQueue(w.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	w.must(err)
	return *out.QueueUrl
}

// send puts an event of a customer's into a queue as the webhook does.
func (w *world) send(url, event, customer string) {
	w.t.Helper()
	_, err := w.SendMessage(w.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(body(event, customer)), MessageGroupId: &customer, MessageDeduplicationId: &event})
	w.must(err)
}

func body(event, customer string) string {
	return `{"id":"` + event + `","type":"invoice.paid","customer":"` + customer + `"}`
}

// take receives and deletes until a number of messages came; more than that are an
// error.
func (w *world) take(url string, n int) (groups []string, bodies []string) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(bodies) < n && time.Now().Before(deadline); {
		out, err := w.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, VisibilityTimeout: 60,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
		w.must(err)
		for _, m := range out.Messages {
			groups, bodies = append(groups, m.Attributes["MessageGroupId"]), append(bodies, *m.Body)
			_, err := w.DeleteMessage(w.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
			w.must(err)
		}
	}
	if w.count(url) != 0 || len(bodies) != n {
		w.t.Errorf("%d messages came and %d are left, want %d", len(bodies), w.count(url), n)
	}
	return groups, bodies
}

func (w *world) count(url string) int {
	w.t.Helper()
	n, err := handler{queues: w.Client, dead: url}.left(w.t.Context())
	w.must(err)
	return n
}

// route serves a replay for which no time passes.
func (w *world) route(q queues) *apitest.Route {
	return w.routeAt(q, clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
}

func (w *world) routeAt(q queues, c clock.Clock) *apitest.Route {
	return apitest.Serve(w.t, "POST", "/v1/stripe-events/replay", handler{q, w.dead, w.live, c}.handle)
}

func TestDeadLettersGoBackWhereTheyCameFrom(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range most + 7 {
		customer := fmt.Sprint("cus_", i%5)
		w.send(w.dead, fmt.Sprint("evt_", i), customer)
		want = append(want, body(fmt.Sprint("evt_", i), customer))
	}
	route := w.route(w.Client)
	var got answer
	route.AsOperator(apitest.Request{}).Into(t, 200, &got)
	if got.Moved != most || got.Left != 7 {
		t.Errorf("%+v", got)
	}
	route.AsOperator(apitest.Request{}).Into(t, 200, &got)
	if got.Moved != 7 || got.Left != 0 {
		t.Errorf("%+v", got)
	}
	route.AsOperator(apitest.Request{}).Into(t, 200, &got)
	if got.Moved != 0 || got.Left != 0 {
		t.Errorf("of none: %+v", got)
	}
	groups, bodies := w.take(w.live, len(want))
	for i, b := range bodies {
		if !strings.Contains(b, `"`+groups[i]+`"`) {
			t.Errorf("%s is in the group %s", b, groups[i])
		}
	}
	slices.Sort(want)
	slices.Sort(bodies)
	if !slices.Equal(bodies, want) {
		t.Errorf("%d messages came back, want %d, each once", len(bodies), len(want))
	}
}

// An event that dies, is tried again and dies again within five minutes, in which
// its id is still known to the queue, can be tried once more.
func TestWhatDiesAgainIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.send(w.live, "evt_1", "cus_1")
	route := w.route(w.Client)
	for round := range 3 {
		w.dies()
		var got answer
		if route.AsOperator(apitest.Request{}).Into(t, 200, &got); got.Moved != 1 || w.count(w.live) != 1 {
			t.Fatalf("round %d: %+v, and %d wait", round, got, w.count(w.live))
		}
	}
	if groups, bodies := w.take(w.live, 1); len(bodies) == 1 && (bodies[0] != body("evt_1", "cus_1") || groups[0] != "cus_1") {
		t.Errorf("%s of %s", bodies, groups)
	}
}

// dies receives from the queue, without deleting, until its message has moved to
// the dead-letter queue.
func (w *world) dies() {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		_, err := w.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &w.live, WaitTimeSeconds: 1, VisibilityTimeout: 1})
		w.must(err)
		if w.count(w.dead) == 1 {
			return
		}
	}
	w.t.Fatal("the message never died")
}

// broken fails one call of a kind, before or after the engine has acted.
type broken struct {
	queues
	call  string
	after bool
	times int
	mu    sync.Mutex
	seen  int
}

var errBroken = errors.New("broken off")

func fails[I, O any](b *broken, ctx context.Context, call string, in I, do func(context.Context, I, ...func(*sqs.Options)) (O, error)) (out O, err error) {
	b.mu.Lock()
	b.seen++
	broken := b.call == call && b.seen >= b.times
	b.mu.Unlock()
	if broken && !b.after {
		return out, errBroken
	}
	if out, err = do(ctx, in); broken {
		err = errBroken
	}
	return out, err
}

func (b *broken) ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	return fails(b, ctx, "receive", in, b.queues.ReceiveMessage)
}

func (b *broken) SendMessage(ctx context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return fails(b, ctx, "send", in, b.queues.SendMessage)
}

func (b *broken) DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error) {
	return fails(b, ctx, "delete", in, b.queues.DeleteMessage)
}

// Wherever a replay breaks off, nothing is lost, and what was put back already is
// not there twice.
func TestAReplayThatBreaksOffLosesNothing(t *testing.T) {
	w := newWorldOf(t, time.Second)
	n := 0
	for _, call := range []string{"receive", "send", "delete"} {
		for _, after := range []bool{false, true} {
			var want []string
			for range 4 {
				n++
				w.send(w.dead, "evt_"+strconv.Itoa(n), "cus_"+strconv.Itoa(n%2))
				want = append(want, body("evt_"+strconv.Itoa(n), "cus_"+strconv.Itoa(n%2)))
			}
			b := &broken{queues: w.Client, call: call, after: after, times: 4}
			w.route(b).AsOperator(apitest.Request{}).Refused(t, problem.Internal, "")
			for deadline := time.Now().Add(time.Minute); w.count(w.dead) > 0 && time.Now().Before(deadline); { // what was in hand becomes visible again
				w.route(w.Client).AsOperator(apitest.Request{}).Into(t, 200, nil)
			}
			_, bodies := w.take(w.live, len(want))
			slices.Sort(bodies)
			slices.Sort(want)
			if !slices.Equal(bodies, want) {
				t.Errorf("%s, after %t: %v, want %v", call, after, bodies, want)
			}
		}
	}
}

func TestReplaysAtOnceShareTheWork(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.send(w.dead, fmt.Sprint("evt_", i), fmt.Sprint("cus_", i%20))
	}
	route := w.route(w.Client)
	var all sync.WaitGroup
	var mu sync.Mutex
	moved := 0
	for range 4 {
		all.Go(func() {
			var got answer
			route.AsOperator(apitest.Request{}).Into(t, 200, &got)
			mu.Lock()
			defer mu.Unlock()
			moved += got.Moved
		})
	}
	all.Wait()
	if w.take(w.live, 60); moved != 60 {
		t.Errorf("%d were moved", moved)
	}
}

// A request ends in time, however many there are.
func TestAReplayEndsInTime(t *testing.T) {
	w := newWorld(t)
	for i := range 25 {
		w.send(w.dead, fmt.Sprint("evt_", i), fmt.Sprint("cus_", i))
	}
	c := clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	slow := &late{queues: w.Client, clock: c}
	var got answer
	w.routeAt(slow, c).AsOperator(apitest.Request{}).Into(t, 200, &got)
	if got.Moved == 0 || got.Moved > 20 || got.Moved+got.Left != 25 {
		t.Errorf("%+v", got)
	}
}

// late is a queue that takes a second for each message.
type late struct {
	queues
	clock *clock.Manual
}

func (l *late) SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	l.clock.Advance(time.Second)
	return l.queues.SendMessage(ctx, in, options...)
}

func TestOnlyTheOperatorReplays(t *testing.T) {
	w := &world{t: t}
	route := w.route(nil)
	if a := route.Call(nil, apitest.Request{}); a.Status != 401 {
		t.Errorf("nobody: %d", a.Status)
	}
	if a := route.Call(map[string]any{"tenant": "ten_1", "scopes": "tasks:write"}, apitest.Request{}); a.Status != 401 {
		t.Errorf("a tenant: %d %s", a.Status, a.Body)
	}
	if a := route.AsOperator(apitest.Request{Query: "limit=3"}); a.Status != 400 {
		t.Errorf("a parameter: %d %s", a.Status, a.Body)
	}
}
