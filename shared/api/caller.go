package api

import (
	"encoding/json"
	"errors"
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

// WorkerContext is the context of a worker with a ticket or a run token.
func WorkerContext(c token.Claims) map[string]any {
	return map[string]any{"kind": string(c.Kind), "tenant": c.Tenant, "run": c.Run, "attempt": strconv.Itoa(c.Attempt), "nonce": c.Nonce}
}

func workerFrom(context map[string]any) (token.Claims, error) {
	text := func(name string) string { s, _ := context[name].(string); return s }
	c := token.Claims{Kind: token.Kind(text("kind")), Tenant: text("tenant"), Run: text("run"), Nonce: text("nonce")}
	var err error
	if c.Attempt, err = strconv.Atoi(text("attempt")); err != nil {
		return token.Claims{}, errors.New("the authorizer's context names no attempt")
	}
	if _, err := id.ULID(id.Tenant, c.Tenant); err != nil || c.Run == "" {
		return token.Claims{}, errors.New("the authorizer's context names no worker")
	}
	return c, nil
}
