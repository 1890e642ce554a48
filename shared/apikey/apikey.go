// Package apikey makes and checks tenants' API keys. A key is
// op_live_ or op_test_, 32 random base62 characters (190 bits) and 6 base62
// characters of a CRC32 over what stands before them. The checksum refuses
// garbage before any read; the table knows a key only by an HMAC-SHA256 under a
// versioned pepper, so a leaked table cannot be used to sign in.
package apikey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
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
func New(m Mode) (string, error) {
	var b strings.Builder
	b.WriteString("op_" + string(m) + "_")
	limit := big.NewInt(int64(len(alphabet)))
	for range randomChars {
		n, err := rand.Int(rand.Reader, limit)
		if err != nil {
			return "", fmt.Errorf("apikey: random: %w", err)
		}
		b.WriteByte(alphabet[n.Int64()])
	}
	return b.String() + checksum(b.String()), nil
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
