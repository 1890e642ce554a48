package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
)

func message(body string) events.SQSEvent {
	return events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: body}}}
}

func event(id, customer string) events.SQSEvent {
	return message(`{"id":"` + id + `","type":"invoice.paid","customer":"` + customer + `"}`)
}

func TestAnEventMakesItsTenantsPlanStripes(t *testing.T) {
	w := entitlementtest.New(t)
	h := handler{w.Table, w.Keeper}
	customer := w.Pays("pro")
	for range 3 {
		w.Must(h.handle(t.Context(), event("evt_1", customer)))
	}
	if e := w.Events(); w.Plan() != "pro" || len(e) != 1 || e[0].Detail != "invoice.paid, evt_1" || e[0].Actor != "stripe/sync" {
		t.Errorf("%s, %+v", w.Plan(), e)
	}
}

func TestTheSampleOfAMessageSyncsItsTenant(t *testing.T) {
	w := entitlementtest.New(t)
	raw, err := os.ReadFile("../../../events/sqs-stripe-events.json")
	w.Must(err)
	var e events.SQSEvent
	w.Must(json.Unmarshal(raw, &e))
	w.Must(handler{w.Table, w.Keeper}.handle(t.Context(), e)) // the sample's customer is nobody's here
	customer := w.Pays("pro")
	e.Records[0].Body = strings.Replace(e.Records[0].Body, "cus_OutpostSample", customer, 1)
	if w.Must(handler{w.Table, w.Keeper}.handle(t.Context(), e)); w.Plan() != "pro" {
		t.Error(w.Plan())
	}
}

func TestAFailureLeavesTheMessageForLater(t *testing.T) {
	w := entitlementtest.New(t)
	h := handler{w.Table, w.Keeper}
	customer := w.Pays("pro")
	w.Fake.Fail(standin.Fault{Path: "/v1/subscriptions", Times: -1, Status: 503})
	if err := h.handle(t.Context(), event("evt_1", customer)); err == nil || w.Plan() != "free" {
		t.Errorf("%v, %s", err, w.Plan())
	}
	w.Fake.Heal()
	if w.Must(h.handle(t.Context(), event("evt_1", customer))); w.Plan() != "pro" {
		t.Error(w.Plan())
	}
}

func TestWhatIsNoEventIsLeftForTheDeadLetters(t *testing.T) {
	w := entitlementtest.New(t)
	h := handler{w.Table, w.Keeper}
	for _, body := range []string{"", "{", `{}`, `{"id":"evt_1"}`, `{"customer":"cus_1"}`, `[]`} {
		if err := h.handle(t.Context(), message(body)); err == nil || strings.Contains(err.Error(), "cus_1") {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAnEventOfNobodysCustomerIsNothingToDo(t *testing.T) {
	w := entitlementtest.New(t)
	w.Must(handler{w.Table, w.Keeper}.handle(t.Context(), event("evt_1", "cus_of_another_shop")))
}
