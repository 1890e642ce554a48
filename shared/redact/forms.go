package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// forms returns the encodings of a value that are looked for.
func forms(value string) []string {
	lower := hex.EncodeToString([]byte(value))
	all := []string{
		value, lower, strings.ToUpper(lower),
		url.QueryEscape(value), url.PathEscape(value), lowerEscapes(url.QueryEscape(value)), lowerEscapes(url.PathEscape(value)),
		jsonEscape(value, true), jsonEscape(value, false),
	}
	for shift := range 3 {
		all = append(all, aligned(base64.StdEncoding, value, shift), aligned(base64.URLEncoding, value, shift))
	}
	return all
}

// aligned returns the base64 digits that a value yields wherever shift bytes
// (modulo 3) stand before it. Digits that share bits with a neighbour are left
// out: they differ from text to text and hold less than a byte of the value.
func aligned(enc *base64.Encoding, value string, shift int) string {
	digits := enc.EncodeToString(append(make([]byte, shift), value...))
	first := []int{0, 2, 3}[shift]
	return digits[first : (shift+len(value))*8/6]
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

func jsonEscape(value string, html bool) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(html)
	if enc.Encode(value) != nil { // a string always encodes
		return value
	}
	return strings.Trim(strings.TrimSuffix(out.String(), "\n"), `"`)
}
