package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/infra/local/engines"
	"outpost/infra/local/guarantee"
	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/stripe"
	"outpost/shared/topology"
)

// tries is how often a function makes one call that fails: stripe.Connect lets it
// repeat a call once.
const tries = 2

// line is the real queue of Stripe's events, with its dead letters, as the topology
// has it; only that its messages come back when the world's clock says so.
type line struct {
	*entitlementtest.World
	handler   handler
	spec      topology.QueueSpec
	sqs       *sqs.Client
	url, dead string

	mu     sync.Mutex
	failed []string // receipts of the messages that were given back
	worked int
}

func newLine(t *testing.T) *line {
	t.Helper()
	w := entitlementtest.New(t)
	engine, err := engines.SQS(t.Context(), t.Output())
	w.Must(err)
	t.Cleanup(engine.Stop)
	client, err := stripe.New(stripe.Options{Keys: entitlementtest.Keys, Base: w.URL, Retries: tries - 1})
	w.Must(err)
	keeper := w.Keeper
	keeper.Stripe = client
	l := &line{World: w, handler: handler{w.Table, keeper}, sqs: sqs.NewFromConfig(aws.Config{Region: engines.Region, BaseEndpoint: &engine.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")})}
	l.spec = topology.Queues[slices.IndexFunc(topology.Queues, func(q topology.QueueSpec) bool { return q.Name == topology.StripeEvents })]
	l.dead = l.queue("dead.fifo", nil)
	arn, err := l.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &l.dead, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	w.Must(err)
	l.url = l.queue("events.fifo", map[string]string{"VisibilityTimeout": fmt.Sprint(int(l.spec.VisibilityTimeout.Seconds())),
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, arn.Attributes["QueueArn"], l.spec.MaxReceives)})
	return l
}

func (l *line) queue(name string, attributes map[string]string) string {
	l.T.Helper()
	all := map[string]string{"FifoQueue": "true"}
	for k, v := range attributes {
		all[k] = v
	}
	made, err := l.sqs.CreateQueue(l.T.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	l.Must(err)
	return *made.QueueUrl
}

// tell puts the events behind the first n into the queue, as the webhook does, and
// returns them.
func (l *line) tell(n int) (ids []string) {
	l.T.Helper()
	for _, e := range l.Fake.EventsFrom(n) {
		var object struct{ Customer *string }
		l.Must(json.Unmarshal(e.Data.Object, &object))
		if object.Customer == nil || !slices.Contains(stripe.Events, e.Type) {
			continue
		}
		body, err := json.Marshal(stripe.Event{ID: e.ID, Type: e.Type, Customer: *object.Customer})
		l.Must(err)
		text := string(body)
		_, err = l.sqs.SendMessage(l.T.Context(), &sqs.SendMessageInput{QueueUrl: &l.url, MessageBody: &text, MessageGroupId: object.Customer, MessageDeduplicationId: &e.ID})
		l.Must(err)
		ids = append(ids, e.ID)
	}
	return ids
}

// work works off what can be seen, as Lambda does: so many at once. A worker that
// finds nothing goes home; what others set free meanwhile is theirs.
func (l *line) work() {
	l.T.Helper()
	var workers sync.WaitGroup
	for range l.spec.MaxConcurrency {
		workers.Go(func() {
			for {
				out, err := l.sqs.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &l.url, MaxNumberOfMessages: int32(l.spec.BatchSize)})
				if err != nil {
					l.T.Error(err)
				}
				if err != nil || len(out.Messages) == 0 {
					return
				}
				for _, m := range out.Messages {
					l.one(m)
				}
			}
		})
	}
	workers.Wait()
}

// one invokes the consumer with a message.
func (l *line) one(m types.Message) {
	l.Clock.Advance(time.Millisecond)
	err := l.handler.handle(context.Background(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: *m.MessageId, Body: *m.Body}}})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.worked++; err != nil {
		l.failed = append(l.failed, *m.ReceiptHandle)
		return
	}
	if _, err := l.sqs.DeleteMessage(context.Background(), &sqs.DeleteMessageInput{QueueUrl: &l.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		l.T.Error(err)
	}
}

// pass lets the time of a message that was given back pass.
func (l *line) pass() {
	l.T.Helper()
	l.Clock.Advance(l.spec.VisibilityTimeout)
	for _, receipt := range l.failed {
		_, err := l.sqs.ChangeMessageVisibility(l.T.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &l.url, ReceiptHandle: &receipt})
		l.Must(err)
	}
	l.failed = nil
}

// count is how many messages a queue holds.
func (l *line) count(url string) string {
	l.T.Helper()
	out, err := l.sqs.GetQueueAttributes(l.T.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages}})
	l.Must(err)
	return out.Attributes["ApproximateNumberOfMessages"]
}

func (l *line) acted(ids []string) (n int) {
	l.T.Helper()
	for _, id := range ids {
		ok, err := l.EventActed(l.T.Context(), id)
		if l.Must(err); ok {
			n++
		}
	}
	return n
}

// TestGuaranteeAnOutageOfAnHourLosesNothing keeps Stripe down for an hour of the
// clock while events of several customers wait in the real queue: 429, 500, and
// broken connections. Each customer's first event is tried every three minutes and
// holds back those behind it, so that in the hour Stripe is asked at most 20 times
// 2 for each customer that waits, however many events there are. Nothing changes
// and nothing is lost; when Stripe is back each event acts. An outage that is
// longer than a message's 30 tries brings it to the dead letters, and what it was
// about is made good by the next one.
func TestGuaranteeAnOutageOfAnHourLosesNothing(t *testing.T) {
	g := guarantee.For(t, "billing-6", "An outage of an hour asks Stripe little, loses no event and changes no plan; every event acts when it is over.")
	l := newLine(t)
	type payer struct {
		entitlementtest.World
		customer string
	}
	payers := make([]payer, g.Pick(16, 3))
	for i := range payers {
		l.Another("free")
		customer := l.Pays("pro")
		payers[i] = payer{*l.World, customer}
	}
	plans := func(want string) {
		t.Helper()
		for i := range payers {
			if plan := payers[i].Plan(); plan != want {
				t.Errorf("tenant %d is on the plan %s, not %s", i, plan, want)
			}
		}
	}
	down := func(step int) {
		l.Fake.Heal()
		fault := standin.Fault{Times: -1, Status: 429}
		if guarantee.Full() || step%6 == 0 { // the others cost half a second each
			fault = []standin.Fault{fault, {Times: -1, Status: 500}, {Times: -1, Down: true}}[step/6%3]
		}
		l.Fake.Fail(fault)
	}

	// An hour.
	known := 0
	told := l.tell(known)
	known = len(l.Fake.Events())
	perHour := int(time.Hour / l.spec.VisibilityTimeout)
	calls, most := l.Fake.Calls(), 0
	for step := range perHour {
		down(step)
		before := l.Fake.Calls()
		l.work()
		most = max(most, l.Fake.Calls()-before)
		l.pass()
	}
	calls = l.Fake.Calls() - calls
	if n := l.acted(told); n != 0 || l.worked != perHour*len(payers) {
		t.Errorf("in the hour %d events have acted, %d messages were tried, want %d", n, l.worked, perHour*len(payers))
	}
	if bound := tries * perHour * len(payers); calls > bound || most > tries*len(payers) {
		t.Errorf("%d calls in the hour, at most %d wanted; %d at once", calls, bound, most)
	}
	plans("free") // the last that was known
	l.Fake.Heal()
	l.work()
	plans("pro")
	if n := l.acted(told); n != len(told) || l.count(l.url) != "0" || l.count(l.dead) != "0" {
		t.Errorf("%d of %d events have acted; %s messages wait, %s are dead", n, len(told), l.count(l.url), l.count(l.dead))
	}

	// Longer than a message lasts.
	for i := range payers {
		sub := payers[i].Fake.Subscriptions(payers[i].customer)[0]
		l.Must(l.Fake.SetCard(payers[i].customer, standin.FailingCard))
		l.Must(l.Stripe.Cancel(t.Context(), sub.ID))
	}
	late := l.tell(known)
	l.Fake.Fail(standin.Fault{Times: -1, Status: 429})
	for range l.spec.MaxReceives + 1 {
		l.work()
		l.pass()
	}
	plans("pro")
	dead := l.count(l.dead)
	if dead != fmt.Sprint(len(payers)) || l.acted(late) != 0 {
		t.Errorf("%s dead letters, want each tenant's first of two; %d events have acted", dead, l.acted(late))
	}
	l.Fake.Heal()
	l.work()
	plans("free")
	if n := l.acted(late); n != len(late)-len(payers) || l.count(l.url) != "0" {
		t.Errorf("%d of %d events have acted, %s wait", n, len(late), l.count(l.url))
	}

	g.Figure("tenants that waited, events of theirs", fmt.Sprintf("%d, %d", len(payers), len(told)))
	g.Figure("requests to Stripe in the hour", fmt.Sprintf("%d; at most 2 × %d × %d tenants = %d", calls, perHour, len(payers), tries*perHour*len(payers)))
	g.Figure("requests to Stripe within three minutes, at most", most)
	g.Figure("events that acted afterwards", len(told))
	g.Figure("after 31 tries: dead letters, and plans that are wrong when Stripe is back", dead+", 0")
}
