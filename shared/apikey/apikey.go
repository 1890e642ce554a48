// Package apikey makes and checks tenants' API keys. A key is
// op_live_ or op_test_, 32 random base62 characters (190 bits) and 6 base62
// characters of a CRC32 over what stands before them. The checksum refuses
// garbage before any read; the table knows a key only by an HMAC-SHA256 under a
// versioned pepper, so a leaked table cannot be used to sign in.
package apikey

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

// Mode tells live keys from test keys.
type Mode string

// The modes.
const (
	Live Mode = "live"
	Test Mode = "test"
)

const (
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomChars = 32
	sumChars    = 6
	prefixLen   = len("op_live_")
	length      = prefixLen + randomChars + sumChars
)

// ErrMalformed is returned for a string that is no key at all.
var ErrMalformed = errors.New("malformed API key")

// New returns a fresh key.
func New(m Mode) (string, error) { return from(m, rand.Reader) }

// NonceSize is how many random bytes a derived key is made of.
const NonceSize = 16

// Derive returns the key that follows from a secret of at least 32 bytes and a
// nonce, by HKDF-SHA256: the same for the same, so that an answer that showed a
// key can be given again while the key itself is kept nowhere. Without the secret
// a nonce tells nothing of its key.
func Derive(m Mode, secret, nonce []byte) (string, error) {
	if len(secret) < 32 || len(nonce) < NonceSize {
		return "", errors.New("apikey: a key is derived of a secret of 32 bytes and a nonce of 16")
	}
	stream, err := hkdf.Key(sha256.New, secret, nonce, "outpost API key "+string(m), 256)
	if err != nil {
		return "", fmt.Errorf("apikey: derive: %w", err)
	}
	return from(m, bytes.NewReader(stream))
}

// from makes a key of random bytes. A byte that would favour some characters is
// passed over.
func from(m Mode, random io.Reader) (string, error) {
	key := []byte("op_" + string(m) + "_")
	for one := make([]byte, 1); len(key) < prefixLen+randomChars; {
		if _, err := io.ReadFull(random, one); err != nil {
			return "", fmt.Errorf("apikey: random: %w", err)
		}
		if n := int(one[0]); n < 256-256%len(alphabet) {
			key = append(key, alphabet[n%len(alphabet)])
		}
	}
	return string(key) + checksum(string(key)), nil
}

// Check returns ErrMalformed unless s has a key's shape and checksum. It reads
// nothing.
func Check(s string) error {
	if len(s) != length || (!strings.HasPrefix(s, "op_live_") && !strings.HasPrefix(s, "op_test_")) {
		return ErrMalformed
	}
	for i := prefixLen; i < length; i++ {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return ErrMalformed
		}
	}
	if checksum(s[:length-sumChars]) != s[length-sumChars:] {
		return ErrMalformed
	}
	return nil
}

// Display returns the form in which a key may be shown: its prefix and its last
// four characters.
func Display(s string) string { return s[:prefixLen] + "…" + s[len(s)-4:] }

// ModeOf returns the mode of a key, or of its displayed form.
func ModeOf(s string) Mode {
	if strings.HasPrefix(s, "op_test_") {
		return Test
	}
	return Live
}

// Latest is the last moment at which a key that is made now may expire by itself: ten
// years ahead.
func Latest(now time.Time) time.Time { return now.AddDate(10, 0, 0) }

// Hasher turns keys into the form in which the table knows them.
type Hasher struct {
	version string
	pepper  []byte
}

// NewHasher returns a Hasher for one version of the pepper, which must be at
// least 32 bytes.
func NewHasher(version string, pepper []byte) (*Hasher, error) {
	if version == "" || len(pepper) < 32 {
		return nil, errors.New("apikey: the pepper needs a version and at least 32 bytes")
	}
	return &Hasher{version: version, pepper: pepper}, nil
}

// Hash returns the pepper's version and the HMAC-SHA256 of a key, in hex.
func (h *Hasher) Hash(key string) string {
	m := hmac.New(sha256.New, h.pepper)
	m.Write([]byte(key))
	return h.version + "." + hex.EncodeToString(m.Sum(nil))
}

// checksum is the CRC32 (IEEE) of s in base62, six characters, most significant
// first.
func checksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var out [sumChars]byte
	for i := sumChars - 1; i >= 0; i-- {
		out[i] = alphabet[n%62]
		n /= 62
	}
	return string(out[:])
}

// Issuer makes keys that it can make again.
type Issuer struct {
	hasher *Hasher
	secret []byte
}

// NewIssuer returns an Issuer that derives keys of a secret of at least 32 bytes.
func NewIssuer(h *Hasher, secret []byte) *Issuer { return &Issuer{h, secret} }

// Issued is a key with what the table knows of it, and what it is made again of.
type Issued struct {
	Text, Hash, Display string
	Nonce               []byte
}

// New issues a fresh key.
func (i *Issuer) New(m Mode) (Issued, error) {
	nonce := make([]byte, NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return Issued{}, fmt.Errorf("apikey: random: %w", err)
	}
	return i.Again(m, nonce)
}

// Again issues the key of a nonce once more.
func (i *Issuer) Again(m Mode, nonce []byte) (Issued, error) {
	text, err := Derive(m, i.secret, nonce)
	if err != nil {
		return Issued{}, err
	}
	return Issued{text, i.hasher.Hash(text), Display(text), nonce}, nil
}
