package stack_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"outpost/shared/audit"
	"outpost/shared/table"
)

// judge reads the table itself.
func (c *town) judge() {
	c.t.Helper()
	ctx := c.t.Context()
	for _, id := range c.expected {
		if acted, err := c.store.EventActed(ctx, id); err != nil || !acted {
			c.t.Errorf("the event %s has not acted: %v", id, err)
			continue
		}
		c.sent.acted++
	}
	for _, id := range c.forged {
		if acted, err := c.store.EventActed(ctx, id); err != nil || acted {
			c.t.Errorf("the forged event %s has acted: %v", id, err)
		}
	}
	moved := 0
	told := map[string]int{}
	for _, one := range c.citizens {
		c.judgeOne(one)
		moved += c.judgeTrail(one, told)
	}
	for event, n := range told {
		if n > 1 {
			c.t.Errorf("the event %s has changed something %d times", event, n)
		}
	}
	if kept := c.kept(); !c.reconciled && kept != len(c.expected) {
		c.t.Errorf("%d looks were kept, for %d events: some have acted twice", kept, len(c.expected))
	}
	if moved < len(c.citizens) {
		c.t.Errorf("plans changed %d times only: the test proves nothing", moved)
	}
}

// kept is how many looks were written down: each counts up the version of its
// tenant's row, as does whoever makes the tenant a customer.
func (c *town) kept() (n int) {
	c.t.Helper()
	client, name := dynamodb.NewFromConfig(c.AWS), "outpost"
	for _, one := range c.citizens {
		out, err := client.GetItem(c.t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: map[string]types.AttributeValue{
			"PK": &types.AttributeValueMemberS{Value: "T#" + one.tenant}, "SK": &types.AttributeValueMemberS{Value: "BILLING"}}})
		if err != nil {
			c.t.Fatal(err)
		}
		version, ok := out.Item["Version"].(*types.AttributeValueMemberN)
		if !ok {
			c.t.Fatalf("%s has no version: %v", one.tenant, out.Item)
		}
		v, err := strconv.Atoi(version.Value)
		if err != nil {
			c.t.Fatal(err)
		}
		n += v
	}
	return n - c.bound
}

// judgeOne holds a tenant against what its customer has paid for.
func (c *town) judgeOne(one *citizen) {
	c.t.Helper()
	ctx := c.t.Context()
	tn, err := c.store.Tenant(ctx, one.tenant)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := c.store.Billing(ctx, one.tenant)
	if err != nil {
		c.t.Fatal(err)
	}
	keys, _, err := c.store.Keys(ctx, one.tenant, "", 100)
	if err != nil || len(keys) == 0 {
		c.t.Fatalf("%d keys, %v", len(keys), err)
	}
	truth := c.shop.Truth(one.customer, time.Now())
	if truth.Twice != "" {
		c.t.Errorf("%s: %s", one.tenant, truth.Twice)
	}
	customer := one.customer
	if c.Stack.Stripe.Fake.Deleted(one.customer) {
		customer = ""
	}
	living := b.Standing.Status != "" && !b.Standing.Status.Over()
	if tn.Entitlement.Plan != truth.Plan || b.Customer != customer || living != (truth.Subscription != "") ||
		living && (b.Standing.Subscription != truth.Subscription || string(b.Standing.Status) != truth.Status || !b.Standing.PeriodEnd.Equal(truth.PeriodEnd)) {
		c.t.Errorf("%s has the plan %s and the standing %+v of %q, in truth %+v of %q", one.tenant, tn.Entitlement.Plan, b.Standing, b.Customer, truth, customer)
	}
	for _, k := range keys {
		if k.Entitlement != tn.Entitlement {
			c.t.Errorf("%s: its key has %+v, the tenant %+v", one.tenant, k.Entitlement, tn.Entitlement)
		}
	}
}

// judgeTrail makes sure that a tenant's trail tells each change of its plan, without
// a gap, and counts the changes and, into told, those that each event made.
func (c *town) judgeTrail(one *citizen, told map[string]int) (changes int) {
	c.t.Helper()
	var trail []audit.Event
	for part := (table.AuditRange{Action: "billing.sync"}); ; {
		events, next, err := c.store.AuditEvents(c.t.Context(), one.tenant, part, 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		trail = append(trail, events...)
		if part.After = next; next == "" {
			break
		}
	}
	slices.Reverse(trail) // oldest first
	plan := "free"
	for _, e := range trail {
		if i := strings.Index(e.Detail, "evt_"); i >= 0 {
			told[strings.TrimSuffix(strings.Fields(e.Detail[i:])[0], ",")]++
		}
		for _, change := range e.Changes {
			if change.Field != "plan" {
				continue
			}
			if change.Before != plan || change.After == plan {
				c.t.Errorf("%s: the trail goes from %s to %s where the plan was %s", one.tenant, change.Before, change.After, plan)
			}
			plan = change.After
			changes++
		}
	}
	if tn, err := c.store.Tenant(c.t.Context(), one.tenant); err != nil || tn.Entitlement.Plan != plan {
		c.t.Errorf("%s: the trail ends with the plan %s: %v", one.tenant, plan, err)
	}
	return changes
}
