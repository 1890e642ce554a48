package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"

	"outpost/shared/problem"
)

// Cursors makes and reads the cursors of lists: a place in the list and a MAC
// that binds it to the tenant, the route and the filter. One that was changed,
// or is of another tenant or filter, is refused.
type Cursors struct{ key []byte }

// NewCursors returns Cursors under a key of 32 bytes.
func NewCursors(key []byte) Cursors { return Cursors{key} }

const macSize = 16 // bytes

// Next returns the cursor of a place in the list that a request reads.
func (c Cursors) Next(r *Request, place string) *string {
	cursor := base64.RawURLEncoding.EncodeToString(append(c.mac(r, place), place...))
	return &cursor
}

// Place returns the place that a request's cursor names; empty without one. It
// refuses a cursor that is none of this list.
func (c Cursors) Place(r *Request) (string, error) {
	cursor := r.Query["cursor"]
	if cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil && len(raw) > macSize && hmac.Equal(raw[:macSize], c.mac(r, string(raw[macSize:]))) {
		return string(raw[macSize:]), nil
	}
	return "", InvalidParameter(problem.Field{Field: "cursor", Message: "must be a next_cursor of this list"})
}

// mac binds a place to everything of the request that says which list it is.
func (c Cursors) mac(r *Request, place string) []byte {
	filter := url.Values{}
	for name, value := range r.Query {
		if name != "cursor" && name != "limit" {
			filter.Set(name, value)
		}
	}
	h := hmac.New(sha256.New, c.key)
	for _, part := range []string{r.Caller.Tenant, r.Route, r.Path, filter.Encode(), place} {
		h.Write([]byte(url.QueryEscape(part) + "\n")) // no part reaches into the next
	}
	return h.Sum(nil)[:macSize]
}
