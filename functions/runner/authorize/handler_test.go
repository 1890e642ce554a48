package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/token"
	"outpost/shared/topology"
)

func TestEachRouteTakesItsOwnKindOfTokenInTime(t *testing.T) {
	signer, err := token.NewSigner([]byte(strings.Repeat("p", 32)))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := token.NewSigner([]byte(strings.Repeat("q", 32)))
	if err != nil {
		t.Fatal(err)
	}
	c := clock.NewManual(settlementtest.Start)
	h := handler{signer, c}
	claims := func(k token.Kind) token.Claims {
		return token.Claims{Kind: k, Tenant: id.New(id.Tenant, c.Now()), Run: "run_x", Attempt: 2, Nonce: "n", Expires: c.Now().Add(time.Minute).Unix()}
	}
	ticket, run := signer.Sign(claims(token.Ticket)), signer.Sign(claims(token.Run))
	ask := func(route string, identity ...string) bool {
		a, err := h.handle(context.Background(), events.APIGatewayV2CustomAuthorizerV2Request{RouteKey: route, IdentitySource: identity})
		if err != nil {
			t.Fatal(err)
		}
		if a.IsAuthorized && (a.Context["attempt"] != "2" || a.Context["run"] != "run_x") || !a.IsAuthorized && a.Context != nil {
			t.Errorf("%s: context %v", route, a.Context)
		}
		return a.IsAuthorized
	}
	for _, r := range topology.Routes {
		if r.Authorizer != topology.ByRunner {
			continue
		}
		route, claim := r.Method+" "+r.Path, r.Path == "/runner/v1/claim"
		if ask(route, "Bearer "+ticket) != claim || ask(route, "bearer "+run) == claim {
			t.Errorf("%s takes the wrong token", route)
		}
		good := run
		if claim {
			good = ticket
		}
		for why, identity := range map[string][]string{
			"none": nil, "empty": {""}, "no scheme": {good}, "another scheme": {"Basic " + good}, "two": {"Bearer " + good, "Bearer " + good},
			"another's": {"Bearer " + stranger.Sign(claims(token.Run))}, "longer": {"Bearer " + good + "A"}, "changed": {"Bearer opw_A" + good[5:]},
			"huge": {"Bearer opw_" + strings.Repeat("x", 1<<20)},
		} {
			if ask(route, identity...) {
				t.Errorf("%s takes a token that is %s", route, why)
			}
		}
	}
	c.Advance(time.Minute)
	if ask("POST /runner/v1/finish", "Bearer "+run) {
		t.Error("an expired token is good")
	}
}
