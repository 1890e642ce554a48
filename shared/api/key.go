package api

import (
	"time"

	"outpost/shared/table"
)

// Key is an API key as its tenant sees it.
type Key struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Display   string   `json:"display"`
	Scopes    []string `json:"scopes"`
	State     string   `json:"state"` // active, revoked or expired
	CreatedAt string   `json:"created_at"`
	ExpiresAt *string  `json:"expires_at"`
	LastUsed  *string  `json:"last_used_at"`
}

// NewKey is a key that was made just now, with the key itself, which is shown
// here and nowhere again.
type NewKey struct {
	Key
	Secret string `json:"secret"`
}

// ViewKey shows a key as it is at a time.
func ViewKey(k table.Key, now time.Time) Key {
	v := Key{ID: k.ID, Name: k.Name, Display: k.Display, Scopes: k.Scopes, State: k.State, CreatedAt: stamp(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), LastUsed: timeOrNull(k.LastUsedAt)}
	if k.State == table.KeyActive && k.Over(now) {
		v.State = "expired"
	}
	return v
}
