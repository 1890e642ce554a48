package main

import (
	"testing"

	"outpost/shared/api/apitest"
	"outpost/shared/problem"
)

func TestItAnswersAnybody(t *testing.T) {
	route := apitest.Serve(t, "GET", "/health", handler{}.handle)
	a := route.Call(nil, apitest.Request{})
	if a.Status != 200 || string(a.Body) != `{"status":"ok"}` || a.Header["Cache-Control"] != "no-store" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
	route.Call(nil, apitest.Request{Query: "deep=1"}).Refused(t, problem.InvalidParameter, "deep")
	route.Call(nil, apitest.Request{Body: "{}"}).Refused(t, problem.MalformedRequest, "")
}
