package main

import (
	"context"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/api"
	"outpost/shared/apikey"
)

type operators interface {
	IsOperator(key string) bool
}

type handler struct{ operators operators }

type answer = events.APIGatewayV2CustomAuthorizerSimpleResponse

// handle fails closed. It reads nothing: the operator's key is known by its hash
// in the platform's secret.
func (h handler) handle(_ context.Context, e events.APIGatewayV2CustomAuthorizerV2Request) (answer, error) {
	if len(e.IdentitySource) != 1 {
		return answer{}, nil
	}
	scheme, key, _ := strings.Cut(e.IdentitySource[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || apikey.Check(key) != nil || !h.operators.IsOperator(key) {
		return answer{}, nil
	}
	return answer{IsAuthorized: true, Context: api.OperatorContext()}, nil
}
