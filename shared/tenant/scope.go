package tenant

import (
	"slices"
	"strings"
)

// Scopes lists every scope that an API key can hold.
var Scopes = []string{
	"tasks:read", "tasks:write", "runs:promote", "keys:write", "secrets:write",
	"audit:read", "billing:write", "webhooks:write",
}

// May tells whether the caller holds a scope. A write scope implies the read
// scope of the same noun.
func (c Caller) May(scope string) bool {
	if slices.Contains(c.Scopes, scope) {
		return true
	}
	noun, right, _ := strings.Cut(scope, ":")
	return right == "read" && slices.Contains(c.Scopes, noun+":write")
}
