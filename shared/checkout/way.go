package checkout

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"outpost/shared/id"
)

// Ways makes and reads the ways back from Checkout: the URL to which Stripe sends
// who has paid. It names the tenant and where that wants to be led to, and is
// signed: nobody else can make this Outpost lead anywhere.
type Ways struct {
	base string
	key  []byte
}

// NewWays returns the ways of the API at base, signed with a key of 32 bytes.
func NewWays(base string, key []byte) Ways { return Ways{strings.TrimRight(base, "/"), key} }

// ReturnPath is the route of ways back.
const ReturnPath = "/billing/return"

// Back is the way back of a tenant: the same for the same URL. Stripe puts the
// session's id into it.
func (w Ways) Back(tenantID, url string) string {
	payload := base64.RawURLEncoding.EncodeToString([]byte(tenantID + " " + url))
	return w.base + ReturnPath + "?session_id={CHECKOUT_SESSION_ID}&way=" + payload + "." + base64.RawURLEncoding.EncodeToString(w.mac(payload))
}

// Read reads the parameter of a way back, and tells whether it is one.
func (w Ways) Read(text string) (tenantID, url string, ok bool) {
	payload, mac, _ := strings.Cut(text, ".")
	signed, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil || len(w.key) == 0 || !hmac.Equal(signed, w.mac(payload)) {
		return "", "", false
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return "", "", false
	}
	tenantID, url, _ = strings.Cut(string(body), " ")
	if _, err := id.ULID(id.Tenant, tenantID); err != nil {
		return "", "", false
	}
	return tenantID, url, true
}

func (w Ways) mac(payload string) []byte {
	m := hmac.New(sha256.New, w.key)
	m.Write([]byte(payload))
	return m.Sum(nil)
}
