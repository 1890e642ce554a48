package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"outpost/infra/local/guarantee"
	"outpost/shared/redact"
)

// written are the forms in which a secret may be written down: what stands in a
// text that holds it.
func written(secret string) map[string]string {
	forms := map[string]string{"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL, as in a query": url.QueryEscape(secret), "URL, as in a path": url.PathEscape(secret)}
	for shift := range 3 {
		for name, enc := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64 of URLs": base64.RawURLEncoding} {
			forms[fmt.Sprintf("%s at %d", name, shift)] = enc.EncodeToString([]byte("xyz"[:shift] + secret + "and more"))
		}
	}
	return forms
}

// TestGuaranteeASecretIsFoundHoweverItIsSplit writes a secret in every form, in the
// middle of a text, to the scrubber: in two pieces with the cut at every point, and
// in three with both cuts at every pair of points. The secrets are of the shapes
// that keys have, the shortest that is scrubbed among them. What comes out is the
// same as for the text in one piece, and gives the secret away in no form.
func TestGuaranteeASecretIsFoundHoweverItIsSplit(t *testing.T) {
	g := guarantee.For(t, "tenancy-7", "A secret is scrubbed in plain, base64 at each alignment, hex and URL form, split at any point.")
	secrets := []string{"canary+provider/0123456789abcdef", "k3y=%;", "canary-" + strings.Repeat("a-long/key+", 9)}
	apart := g.Pick(1, 9) // of the points that are tried as the first of two cuts
	leaked, two, three, forms := 0, 0, 0, 0
	for _, secret := range secrets {
		s := redact.New(redact.Secrets{"KEY": secret})
		for form, text := range written(secret) {
			forms++
			text = "before " + text + " after"
			whole := s.String(text)
			if leaks(whole, secret) || !strings.Contains(whole, "[redacted:KEY]") {
				leaked++
				t.Errorf("%s: %q became %q", form, text, whole)
			}
			pieces := func(cuts ...int) {
				var out bytes.Buffer
				w, from := s.Writer(&out), 0
				for _, to := range append(cuts, len(text)) {
					if _, err := w.Write([]byte(text[from:to])); err != nil {
						t.Fatal(err)
					}
					from = to
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if got := out.String(); got != whole {
					leaked++
					t.Errorf("%s cut at %v: %q, in one piece %q", form, cuts, got, whole)
				}
			}
			for first := 0; first <= len(text); first++ {
				pieces(first)
				two++
				for second := first; second <= len(text) && first%apart == 0; second++ {
					pieces(first, second)
					three++
				}
			}
		}
	}
	g.Figure("secrets", fmt.Sprintf("%d, of %d to %d bytes", len(secrets), len(secrets[1]), len(secrets[2])))
	g.Figure("texts", fmt.Sprintf("%d: each secret in each form", forms))
	g.Figure("splits in two", two)
	g.Figure("splits in three", three)
	g.Figure("leaks", leaked)
}
