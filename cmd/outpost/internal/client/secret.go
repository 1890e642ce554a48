package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Secret is a secret as the API shows it: never its value.
type Secret struct {
	Name    string    `json:"name"`
	Display string    `json:"display"`
	Host    string    `json:"host"`
	SetAt   time.Time `json:"set_at"`
	Agents  []string  `json:"agents"`
}

// Secrets lists the secrets that are set.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	var p page[Secret]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/secrets"}, &p)
	return p.Data, err
}

// NewSecret is a value, and for a git token the host that it goes to.
type NewSecret struct {
	Value string `json:"value"`
	Host  string `json:"host,omitempty"`
}

// PutSecret sets a secret.
func (c *Client) PutSecret(ctx context.Context, name string, s NewSecret) error {
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/secrets/" + url.PathEscape(name), body: s}, nil)
	return err
}

// SecretCheck is what came of asking whether a secret works.
type SecretCheck struct {
	Name      string    `json:"name"`
	State     string    `json:"state"` // works, refused or unknown
	Detail    string    `json:"detail"`
	SetAt     time.Time `json:"set_at"`
	CheckedAt time.Time `json:"checked_at"`
}

// CheckSecret asks whether a secret works: a git token with a repository on its
// host, any other with none.
func (c *Client) CheckSecret(ctx context.Context, name, repo string) (SecretCheck, error) {
	var body any
	if repo != "" {
		body = map[string]string{"repo": repo}
	}
	var found SecretCheck
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/secrets/" + url.PathEscape(name) + "/check", body: body}, &found)
	return found, err
}

// DeleteSecret forgets a secret.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/secrets/" + url.PathEscape(name)}, nil)
	return err
}
