package client

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"time"
)

// Key is an API key as the API shows it. Times are zero for never.
type Key struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Display    string    `json:"display"`
	Scopes     []string  `json:"scopes"`
	State      string    `json:"state"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	Secret     string    `json:"secret"`   // the key itself, of one that was made just now
	Replaces   *Key      `json:"replaces"` // of one that was made by rotating this

	raw json.RawMessage
}

// UnmarshalJSON keeps the whole answer beside what the client reads of it.
func (k *Key) UnmarshalJSON(b []byte) error {
	type plain Key
	k.raw = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*plain)(k))
}

// MarshalJSON writes the API's own answer.
func (k Key) MarshalJSON() ([]byte, error) { return k.raw, nil }

// Keys lists the tenant's keys, all of them, newest first.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	return pages[Key](ctx, c, "/v1/keys", url.Values{}, math.MaxInt)
}

// NewKey says what a key is to be. Zero fields are left out.
type NewKey struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Kind      string     `json:"kind,omitempty"` // live or test
}

// CreateKey makes a key, once under an idempotency key: asked again it answers as
// the first time.
func (c *Client) CreateKey(ctx context.Context, k NewKey, idempotencyKey string) (made Key, replayed bool, err error) {
	replayed, err = c.post(ctx, "/v1/keys", k, idempotencyKey, &made)
	return made, replayed, err
}

// RotateKey makes a key that takes the part of another, which goes on for some
// seconds; nil: as long as the API says. The idempotency key is as of CreateKey.
func (c *Client) RotateKey(ctx context.Context, id string, overlapSeconds *int, idempotencyKey string) (made Key, replayed bool, err error) {
	body := struct {
		OverlapSeconds *int `json:"overlap_seconds,omitempty"`
	}{overlapSeconds}
	replayed, err = c.post(ctx, "/v1/keys/"+url.PathEscape(id)+"/rotate", body, idempotencyKey, &made)
	return made, replayed, err
}

// RevokeKey ends a key for ever.
func (c *Client) RevokeKey(ctx context.Context, id string) (k Key, err error) {
	_, err = c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)}, &k)
	return k, err
}

// post sends a body under an idempotency key. Replayed tells that the answer is
// the first one to that key.
func (c *Client) post(ctx context.Context, path string, body any, idempotencyKey string, out any) (replayed bool, err error) {
	a, err := c.do(ctx, call{method: http.MethodPost, path: path, body: body, header: http.Header{"Idempotency-Key": {idempotencyKey}}}, out)
	return err == nil && a.header.Get("Idempotent-Replayed") == "true", err
}
