package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"outpost/shared/api/apitest"
	"outpost/shared/contract"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

func page(t *testing.T) string {
	a := apitest.Serve(t, "GET", "/docs", handler{}.page).Call(nil, apitest.Request{})
	if a.Status != 200 || !strings.HasPrefix(a.Header["Content-Type"], "text/html") {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	return string(a.Body)
}

func TestTheContractIsServedAsItIs(t *testing.T) {
	a := apitest.Serve(t, "GET", "/openapi.yaml", handler{}.contract).Call(nil, apitest.Request{})
	if a.Status != 200 || !bytes.Equal(a.Body, contract.YAML) {
		t.Errorf("%d, %d bytes", a.Status, len(a.Body))
	}
}

func TestThePageTellsEveryRouteProblemAndReason(t *testing.T) {
	body := page(t)
	for _, r := range topology.Routes {
		if shown := strings.Contains(body, "<code>"+r.Path+"</code>"); shown == (r.Authorizer == topology.ByRunner) {
			t.Errorf("%s: shown is %v", r.Path, shown)
		}
	}
	for _, c := range problem.Codes() {
		if !strings.Contains(body, `id="problem-`+string(c.Code)+`"`) {
			t.Errorf("no row for %s, where a problem's type points", c.Code)
		}
	}
	for _, r := range task.Reasons() {
		if !strings.Contains(body, "<code>"+string(r.Code)+"</code>") {
			t.Errorf("no row for %s", r.Code)
		}
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	if found := regexp.MustCompile(`(?i)<(script|link|img|iframe)|url\(|@import|src=`).FindString(page(t)); found != "" {
		t.Errorf("the page has %q", found)
	}
}
