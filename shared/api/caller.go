package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"outpost/shared/id"
	"outpost/shared/tenant"
	"outpost/shared/token"
)

// The authorizers hand on what they found as strings, which is all that API
// Gateway's context carries without loss.

// CallerContext is the context of an API key's caller.
func CallerContext(c tenant.Caller) (map[string]any, error) {
	entitlement, err := json.Marshal(c.Entitlement)
	if err != nil {
		return nil, err
	}
	return map[string]any{"tenant": c.Tenant, "key": c.KeyID, "key_hash": c.KeyHash,
		"scopes": strings.Join(c.Scopes, " "), "entitlement": string(entitlement)}, nil
}

func callerFrom(context map[string]any) (tenant.Caller, error) {
	text := func(name string) string { s, _ := context[name].(string); return s }
	c := tenant.Caller{Tenant: text("tenant"), KeyID: text("key"), KeyHash: text("key_hash"), Scopes: strings.Fields(text("scopes"))}
	if err := json.Unmarshal([]byte(text("entitlement")), &c.Entitlement); err != nil {
		return tenant.Caller{}, errors.New("the authorizer's context has no entitlement")
	}
	if _, err := id.ULID(id.Tenant, c.Tenant); err != nil || c.KeyHash == "" {
		return tenant.Caller{}, errors.New("the authorizer's context names no caller")
	}
	return c, nil
}

// OperatorContext is the context of the operator.
func OperatorContext() map[string]any { return map[string]any{"operator": "true"} }

func operatorFrom(context map[string]any) error {
	if context["operator"] != "true" {
		return errors.New("the authorizer's context names no operator")
	}
	return nil
}

// WorkerKind is the kind of token that opens a worker's route, by its route
// key: a ticket claims, a run token does everything else. The authorizer and
// the route both ask, since an authorizer's answer may be cached for all routes.
func WorkerKind(routeKey string) token.Kind {
	if routeKey == "POST /runner/v1/claim" {
		return token.Ticket
	}
	return token.Run
}

// WorkerContext is the context of a worker with a ticket or a run token.
func WorkerContext(c token.Claims) map[string]any {
	return map[string]any{"kind": string(c.Kind), "tenant": c.Tenant, "run": c.Run, "attempt": strconv.Itoa(c.Attempt), "nonce": c.Nonce}
}

func workerFrom(context map[string]any, kind token.Kind) (token.Claims, error) {
	text := func(name string) string { s, _ := context[name].(string); return s }
	c := token.Claims{Kind: token.Kind(text("kind")), Tenant: text("tenant"), Run: text("run"), Nonce: text("nonce")}
	var err error
	if c.Attempt, err = strconv.Atoi(text("attempt")); err != nil {
		return token.Claims{}, errors.New("the authorizer's context names no attempt")
	}
	if _, err := id.ULID(id.Tenant, c.Tenant); err != nil || c.Run == "" {
		return token.Claims{}, errors.New("the authorizer's context names no worker")
	}
	if c.Kind != kind {
		return token.Claims{}, fmt.Errorf("the authorizer's context is of a %s token, this route takes a %s token", c.Kind, kind)
	}
	return c, nil
}
