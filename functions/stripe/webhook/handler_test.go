package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stripe/stripe-go/v76/webhook"

	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/eventqueue"
	"outpost/shared/platform"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/stripe"
)

// kept notes messages. The real queue takes them in the end-to-end tests.
type kept struct {
	messages []*sqs.SendMessageInput
	err      error
}

func (k *kept) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	if k.err != nil {
		return nil, k.err
	}
	k.messages = append(k.messages, in)
	return &sqs.SendMessageOutput{}, nil
}

var keys = entitlementtest.Keys

// post makes a webhook's request.
type post struct {
	body, secret string
	at           time.Time
	header       string // instead of the signature
}

func (p post) request() apitest.Request {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(p.body), Secret: p.secret, Timestamp: p.at})
	if p.header == "" {
		p.header = signed.Header
	}
	return apitest.Request{Body: p.body, Header: map[string]string{"Stripe-Signature": p.header}}
}

const updated = `{"id":"evt_1","object":"event","api_version":"2023-10-16","type":"customer.subscription.updated","livemode":false,"data":{"object":{"object":"subscription","id":"sub_1","customer":"cus_1"}}}`

func good() post { return post{body: updated, secret: keys.WebhookSecret, at: settlementtest.Start} }

func serve(t *testing.T, keys platform.Stripe) (*apitest.Route, *kept) {
	queue := &kept{}
	h := handler{eventqueue.Sender{SQS: queue, Queue: "https://queue"}, keys, clock.NewManual(settlementtest.Start)}
	return apitest.Serve(t, "POST", "/webhooks/stripe", h.handle), queue
}

func TestASignedEventIsKeptBeforeItIsAcknowledged(t *testing.T) {
	r, queue := serve(t, keys)
	if a := r.Call(nil, good().request()); a.Status != 200 || len(queue.messages) != 1 {
		t.Fatalf("%d %s, %d messages", a.Status, a.Body, len(queue.messages))
	}
	m := queue.messages[0]
	var e stripe.Event
	if err := json.Unmarshal([]byte(*m.MessageBody), &e); err != nil || e != (stripe.Event{ID: "evt_1", Type: "customer.subscription.updated", Customer: "cus_1"}) {
		t.Errorf("%+v, %v", e, err)
	}
	if *m.MessageGroupId != "cus_1" || *m.MessageDeduplicationId != "evt_1" || *m.QueueUrl != "https://queue" {
		t.Errorf("%s %s %s", *m.MessageGroupId, *m.MessageDeduplicationId, *m.QueueUrl)
	}
	encoded := r.Make(nil, good().request())
	encoded.Body, encoded.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(encoded.Body)), true
	if a := r.Event(encoded); a.Status != 200 || len(queue.messages) != 2 {
		t.Errorf("base64: %d %s", a.Status, a.Body)
	}
	rolled := good().request() // while a secret is rolled there are two signatures
	rolled.Header["Stripe-Signature"] = strings.Replace(rolled.Header["Stripe-Signature"], ",v1=", ",v1="+strings.Repeat("0", 64)+",v1=", 1)
	if a := r.Call(nil, rolled); a.Status != 200 || len(queue.messages) != 3 {
		t.Errorf("two signatures: %d %s", a.Status, a.Body)
	}
	queue.err = errors.New("the queue is away")
	if a := r.Call(nil, good().request()); a.Status != 500 {
		t.Errorf("an event that could not be kept: %d", a.Status)
	}
}

// The sample is as API Gateway hands on what Stripe sends; its signature is made
// here. What it becomes is the sample of the queue's message.
func TestTheSampleOfAWebhookBecomesTheSampleOfAMessage(t *testing.T) {
	read := func(file string, into any) {
		raw, err := os.ReadFile("../../../events/" + file)
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var e events.APIGatewayV2HTTPRequest
	var queued events.SQSEvent
	read("api-gateway-stripe.json", &e)
	read("sqs-stripe-events.json", &queued)
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil || !e.IsBase64Encoded {
		t.Fatal(err)
	}
	r, queue := serve(t, keys)
	if a := r.Event(e); a.Status != 400 || len(queue.messages) != 0 {
		t.Errorf("without its signature: %d %s", a.Status, a.Body)
	}
	e.Headers["stripe-signature"] = webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: keys.WebhookSecret, Timestamp: settlementtest.Start}).Header
	if a := r.Event(e); a.Status != 200 || len(queue.messages) != 1 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	m, want := queue.messages[0], queued.Records[0]
	if *m.MessageBody != want.Body || *m.MessageGroupId != want.Attributes["MessageGroupId"] || *m.MessageDeduplicationId != want.Attributes["MessageDeduplicationId"] {
		t.Errorf("%s of %s, %s; want %+v", *m.MessageBody, *m.MessageGroupId, *m.MessageDeduplicationId, want)
	}
}

func TestWhatStripeDidNotSignForThisOutpostIsRefused(t *testing.T) {
	with := func(change func(*post)) post {
		p := good()
		change(&p)
		return p
	}
	says := func(old, now string) post {
		return with(func(p *post) { p.body = strings.Replace(p.body, old, now, 1) })
	}
	signature := good().request().Header["Stripe-Signature"]
	for why, p := range map[string]post{
		"another secret":  with(func(p *post) { p.secret = "whsec_" + "other" }),
		"an empty secret": with(func(p *post) { p.secret = "" }),
		"other bytes":     with(func(p *post) { p.header, p.body = signature, p.body+" " }),
		"no signature":    with(func(p *post) { p.header = "t=1" }),
		"no time":         with(func(p *post) { p.header = signature[strings.Index(signature, "v1="):] }),
		"a time that is not its": with(func(p *post) {
			p.header = "t=1,t=" + fmt.Sprint(settlementtest.Start.Unix()+1) + signature[strings.Index(signature, ",v1="):]
		}),
		"an old one":               with(func(p *post) { p.at = p.at.Add(-stripe.Tolerance - time.Second) }),
		"one of the future":        with(func(p *post) { p.at = p.at.Add(stripe.Tolerance + time.Second) }),
		"another version":          says("2023-10-16", "2025-03-31.basil"),
		"no version":               says(`"api_version":"2023-10-16",`, ""),
		"a live event":             says(`"livemode":false`, `"livemode":true`),
		"of a connected account":   says(`"object":"event",`, `"object":"event","account":"acct_1",`),
		"no id":                    says(`"id":"evt_1",`, ""),
		"signed and of no event":   with(func(p *post) { p.body = `{"hello":1}` }),
		"signed, with data a text": says(`{"object":{"object":"subscription","id":"sub_1","customer":"cus_1"}}`, `"x"`),
	} {
		r, queue := serve(t, keys)
		if r.In(t).Call(nil, p.request()).Refused(t, problem.InvalidSignature, ""); len(queue.messages) != 0 {
			t.Errorf("%s: it is kept", why)
		}
	}
	r, queue := serve(t, keys)
	huge := good()
	huge.body = strings.Replace(huge.body, "sub_1", strings.Repeat("x", 300<<10), 1)
	r.Call(nil, huge.request()).Refused(t, problem.BodyTooLarge, "")
	r.Call(nil, apitest.Request{Body: "{", Header: good().request().Header}).Refused(t, problem.MalformedRequest, "")
	if len(queue.messages) != 0 {
		t.Error("it is kept")
	}
}

// The contract is checked before the signature. What it refuses is answered other
// than 2xx, though Stripe may have signed it: Stripe tries again and lists it as
// undelivered, where the reconciler finds it.
func TestWhatTheContractRefusesIsNotAcknowledged(t *testing.T) {
	in := func(object string) string {
		return strings.Replace(updated, `{"object":"subscription","id":"sub_1","customer":"cus_1"}`, object, 1)
	}
	for why, body := range map[string]string{
		"a member twice": in(`{"object":"subscription","id":"sub_1","id":"sub_2","customer":"cus_1"}`),
		"too deep":       in(`{"object":"subscription","customer":"cus_1","metadata":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`),
		"more behind it": updated + updated,
		"no UTF-8":       in("{\"object\":\"subscription\",\"customer\":\"cus_1\",\"id\":\"\xff\"}"),
		"a huge number":  in(`{"object":"subscription","customer":"cus_1","amount":1e999999}`),
		"no object":      `[` + updated + `]`,
		"nothing":        "",
		"too many bytes": in(`{"object":"subscription","customer":"cus_1","id":"` + strings.Repeat("x", 256<<10) + `"}`),
		"half an event":  updated[:len(updated)/2],
		"a text":         `"` + strings.ReplaceAll(updated, `"`, `\"`) + `"`,
	} {
		r, queue := serve(t, keys)
		p := good()
		p.body = body
		e := r.Make(nil, p.request())
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(body)), true
		if a := r.Event(e); a.Status < 400 || len(queue.messages) != 0 {
			t.Errorf("%s: %d %s, %d messages", why, a.Status, a.Body, len(queue.messages))
		}
	}
	r, queue := serve(t, keys)
	e := r.Make(nil, good().request())
	e.Headers["content-type"] = "text/plain"
	if a := r.Event(e); a.Status < 400 || len(queue.messages) != 0 {
		t.Errorf("as a text: %d", a.Status)
	}
}

func TestWhatNothingDependsOnIsAcknowledged(t *testing.T) {
	r, queue := serve(t, keys)
	for _, body := range []string{strings.Replace(updated, "customer.subscription.updated", "product.created", 1),
		strings.Replace(strings.Replace(updated, "customer.subscription.updated", "charge.dispute.created", 1), `{"object":"subscription","id":"sub_1","customer":"cus_1"}`, `{"object":"dispute","id":"dp_1","charge":"ch_1"}`, 1), strings.Replace(updated, `,"customer":"cus_1"`, "", 1),
		strings.Replace(updated, `"cus_1"`, "null", 1), strings.Replace(updated, `"cus_1"`, "7", 1)} {
		p := good()
		p.body = body
		if a := r.Call(nil, p.request()); a.Status != 200 {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	if len(queue.messages) != 0 {
		t.Errorf("%d messages", len(queue.messages))
	}
	for _, body := range []string{strings.Replace(updated, `"cus_1"`, `{"id":"cus_1","object":"customer"}`, 1),
		strings.Replace(strings.Replace(updated, "customer.subscription.updated", "customer.deleted", 1), `{"object":"subscription","id":"sub_1","customer":"cus_1"}`, `{"object":"customer","id":"cus_1"}`, 1)} {
		p := good()
		p.body = body
		r.Call(nil, p.request())
		if n := len(queue.messages); n == 0 || *queue.messages[n-1].MessageGroupId != "cus_1" {
			t.Errorf("%s: nobody is told", body)
		}
	}
}

func TestWithoutBillingNoEventIsTaken(t *testing.T) {
	r, _ := serve(t, platform.Stripe{})
	empty := good()
	empty.secret = ""
	r.Call(nil, empty.request()).Refused(t, problem.BillingUnavailable, "")
}
