package stack_test

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/infra/local/recorder"
	"outpost/shared/clock"
)

// hurt injects faults and kills functions until it is stopped.
func (c *town) hurt(stop chan struct{}, random *rand.Rand) {
	seeded := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), 4)) }
	conflict := recorder.Conflict(0.03, seeded())
	conflict.Caller = "stripe-sync"
	c.rules = []*recorder.Rule{conflict,
		{Service: "dynamodb", Caller: "stripe-sync", Probability: 0.01, Effect: recorder.LoseAnswer, Random: seeded()},
		{Service: "dynamodb", Caller: "stripe-reconcile", Probability: 0.01, Effect: recorder.LoseAnswer, Random: seeded()},
		{Service: "sqs", Caller: "stripe-webhook", Probability: 0.02, Effect: recorder.DropRequest, Random: seeded()},
		{Service: "sqs", Caller: "stripe-webhook", Probability: 0.02, Effect: recorder.LoseAnswer, Random: seeded()},
		{Service: "sqs", Action: "DeleteMessage", Caller: "local", Probability: 0.05, Effect: recorder.Fail, Code: "InvalidParameterValue", Random: seeded()},
	}
	c.Recorder.Inject(c.rules...)
	victims := []string{"stripe/sync", "stripe/sync", "stripe/sync", "stripe/webhook", "stripe/reconcile"}
	for {
		select {
		case <-clock.System.After(time.Duration(200+random.IntN(600)) * time.Millisecond):
		case <-stop:
			c.Recorder.Inject()
			return
		}
		name := victims[random.IntN(len(victims))]
		if c.Lambda.Kill(name) {
			c.mu.Lock()
			c.sent.kills[name]++
			c.mu.Unlock()
		}
	}
}

// settle waits until the queue is empty and everything that must act has.
func (c *town) settle() {
	c.t.Helper()
	c.Stack.Stripe.Fake.Heal()
	for _, r := range c.rules {
		c.sent.faults += r.Count()
	}
	c.until(0)
}

// until waits until the queue holds no more than so many messages.
func (c *town) until(most int) {
	c.t.Helper()
	for least, since := 1<<30, time.Now(); ; <-clock.System.After(50 * time.Millisecond) {
		n := c.waiting()
		if n <= most {
			return
		}
		if n < least {
			least, since = n, time.Now()
		}
		if time.Since(since) > 2*time.Minute {
			c.t.Fatalf("the queue holds %d messages, and no fewer for two minutes", n)
		}
	}
}

// waiting is how many messages the queue holds, those that are being worked off
// too.
func (c *town) waiting() (n int) {
	c.t.Helper()
	out, err := sqs.NewFromConfig(c.AWS).GetQueueAttributes(c.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &c.queue, AttributeNames: []types.QueueAttributeName{
		types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible}})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, text := range out.Attributes {
		some, err := strconv.Atoi(text)
		if err != nil {
			c.t.Fatal(err)
		}
		n += some
	}
	return n
}
