package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api/apitest"
	"outpost/shared/checkout"
	"outpost/shared/problem"
	"outpost/shared/table"
)

func TestWhoPaidIsLedOnAndEverybodyElseSeesAPage(t *testing.T) {
	w := entitlementtest.New(t)
	desk := w.Desk()
	route := apitest.Serve(t, "GET", checkout.ReturnPath, handler{desk}.handle)
	come := func(query url.Values) apitest.Answer {
		t.Helper()
		w.Clock.Advance(time.Second)
		a := route.Call(nil, apitest.Request{Query: query.Encode()})
		if (a.Status < 400 && a.Header["Referrer-Policy"] != "no-referrer") || a.Header["Cache-Control"] != "no-store" {
			t.Errorf("%v", a.Header)
		}
		return a
	}
	const to = entitlementtest.App + "/done?a=1&b=%2F#top"
	by := func(action, target string) table.By { return w.By(action) }
	opened, err := desk.Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro", SuccessURL: to}, by)
	w.Must(err)
	back := w.Pay(opened)
	for range 2 {
		if a := come(back); a.Status != 303 || a.Header["Location"] != to || len(a.Body) != 0 || w.Plan() != "pro" {
			t.Errorf("%d %v %s, on the plan %s", a.Status, a.Header, a.Body, w.Plan())
		}
	}
	plain := come(nil)
	if plain.Status != 200 || !strings.Contains(string(plain.Body), "outpost billing") || !strings.HasPrefix(plain.Header["Content-Type"], "text/html") {
		t.Errorf("%d %s", plain.Status, plain.Body)
	}
	for _, session := range []string{back.Get("session_id"), "cs_test_of_nobody"} {
		a := come(url.Values{"session_id": {session}, "way": {"bm90aGluZw.bm90aGluZw"}})
		if a.Status != 200 || string(a.Body) != string(plain.Body) || a.Header["Location"] != "" {
			t.Errorf("%s with a forged way: %d %v", session, a.Status, a.Header)
		}
	}
	come(url.Values{"session_id": {"../../v1/customers"}, "way": {back.Get("way")}}).Refused(t, problem.InvalidParameter, "session_id")
	come(url.Values{"session_id": {back.Get("session_id")}, "way": {"https://evil.example/"}}).Refused(t, problem.InvalidParameter, "way")
	come(url.Values{"to": {"https://evil.example/"}}).Refused(t, problem.InvalidParameter, "to")
}
