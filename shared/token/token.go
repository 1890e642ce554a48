// Package token makes and checks the two bearer tokens of workers: the ticket,
// which claims one attempt, and the run token, which reports on it. A token is
// its claims in the clear and an HMAC-SHA256 under a key derived from the
// platform's pepper, so checking one reads nothing, and making one again gives
// the same bytes.
package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind tells tickets from run tokens.
type Kind string

// The kinds.
const (
	Ticket Kind = "ticket"
	Run    Kind = "run"
)

const prefix = "opw_"

// Claims say what a token is good for.
type Claims struct {
	Kind    Kind   `json:"k"`
	Tenant  string `json:"t"`
	Run     string `json:"r"`
	Attempt int    `json:"a"`
	Nonce   string `json:"n,omitempty"` // run tokens: the claim's nonce
	Expires int64  `json:"e"`           // Unix seconds
}

// Errors of Verify. Neither says more than a stranger may know.
var (
	ErrInvalid = errors.New("invalid token")
	ErrExpired = errors.New("expired token")
)

// Signer signs and verifies tokens.
type Signer struct{ key []byte }

// NewSigner derives the signing key from the platform's pepper, which must be
// at least 32 bytes.
func NewSigner(pepper []byte) (*Signer, error) {
	if len(pepper) < 32 {
		return nil, errors.New("token: the pepper is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, pepper, nil, "outpost worker tokens v1", 32)
	if err != nil {
		return nil, fmt.Errorf("token: derive key: %w", err)
	}
	return &Signer{key: key}, nil
}

// Sign returns the token of the claims. Equal claims give equal tokens.
func (s *Signer) Sign(c Claims) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err) // Claims holds strings and integers only
	}
	enc := base64.RawURLEncoding
	payload := enc.EncodeToString(body)
	return prefix + payload + "." + enc.EncodeToString(s.mac(payload))
}

// Verify returns the claims of a token of the wanted kind that has not expired
// at now.
func (s *Signer) Verify(kind Kind, tok string, now time.Time) (Claims, error) {
	var c Claims
	rest, ok := strings.CutPrefix(tok, prefix)
	payload, sig, found := strings.Cut(rest, ".")
	if !ok || !found || len(tok) > 1024 {
		return c, ErrInvalid
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	if err != nil || !hmac.Equal(mac, s.mac(payload)) {
		return c, ErrInvalid
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil || json.Unmarshal(body, &c) != nil || c.Kind != kind {
		return Claims{}, ErrInvalid
	}
	if now.Unix() >= c.Expires {
		return Claims{}, ErrExpired
	}
	return c, nil
}

func (s *Signer) mac(payload string) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(payload))
	return m.Sum(nil)
}
