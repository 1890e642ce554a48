package main

import (
	"context"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/token"
)

type handler struct {
	signer *token.Signer
	clock  clock.Clock
}

type answer = events.APIGatewayV2CustomAuthorizerSimpleResponse

// handle lets a ticket claim and a run token do everything else. It reads
// nothing: the signature is the proof.
func (h handler) handle(_ context.Context, e events.APIGatewayV2CustomAuthorizerV2Request) (answer, error) {
	if len(e.IdentitySource) != 1 {
		return answer{}, nil
	}
	scheme, tok, _ := strings.Cut(e.IdentitySource[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return answer{}, nil
	}
	claims, err := h.signer.Verify(api.WorkerKind(e.RouteKey), tok, h.clock.Now())
	if err != nil {
		return answer{}, nil
	}
	return answer{IsAuthorized: true, Context: api.WorkerContext(claims)}, nil
}
