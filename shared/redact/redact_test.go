package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"outpost/shared/redact"
)

// encodings are the ways in which a secret may stand in a text.
var encodings = map[string]func(string) string{
	"plain":     func(s string) string { return s },
	"hex":       func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":       func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"query":     url.QueryEscape,
	"path":      url.PathEscape,
	"base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"json": func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	},
}

// leaks tells whether a text gives the secret away: as it is, escaped, in hex,
// or in base64 at any alignment.
func leaks(text, secret string) bool {
	if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(secret))) ||
		strings.Contains(text, url.QueryEscape(secret)) || strings.Contains(text, url.PathEscape(secret)) {
		return true
	}
	for shift := range 4 {
		if shift > len(text) {
			break
		}
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			whole, _ := enc.DecodeString(strings.TrimRight(text[shift:], "=")) // decodes up to the first error
			if bytes.Contains(whole, []byte(secret)) {
				return true
			}
		}
	}
	return false
}

func TestNoSecretPassesHoweverItIsEncodedAndCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Za-z0-9+/=_"<%-]{6,60}`).Draw(t, "secret")
		before, after := rapid.StringN(0, 20, 60).Draw(t, "before"), rapid.StringN(0, 20, 60).Draw(t, "after")
		name := rapid.SampledFrom([]string{"plain", "hex", "HEX", "query", "path", "base64", "base64url", "json"}).Draw(t, "encoding")
		text := encodings[name](before + secret + after)
		s := redact.New(redact.Secrets{"KEY": secret})
		whole := s.String(text)
		if leaks(whole, secret) || !strings.Contains(whole, "[redacted:KEY]") {
			t.Fatalf("%s: %q became %q", name, text, whole)
		}
		if got := inChunks(t, s, text); got != whole {
			t.Fatalf("%s in chunks: %q, whole: %q", name, got, whole)
		}
	})
}

func TestManySecretsAtOnceLeaveNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few letters, so that secrets overlap and repeat themselves.
		values := rapid.SliceOfN(rapid.StringMatching(`[ab]{6,12}`), 1, 4).Draw(t, "values")
		text := rapid.StringMatching(`[abc]{0,80}`).Draw(t, "text")
		secrets := redact.Secrets{}
		for i, v := range values {
			secrets[strings.Repeat("N", i+1)] = v
		}
		s := redact.New(secrets)
		got := s.String(text)
		for _, v := range values {
			if strings.Contains(got, v) {
				t.Fatalf("%q still holds %q: %q", text, v, got)
			}
		}
		if chunked := inChunks(t, s, text); chunked != got {
			t.Fatalf("in chunks %q, whole %q", chunked, got)
		}
	})
}

func inChunks(t *rapid.T, s *redact.Scrubber, text string) string {
	var out bytes.Buffer
	w := s.Writer(&out)
	for rest := []byte(text); len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOtherTextPassesUnchanged(t *testing.T) {
	s := redact.New(redact.Secrets{"KEY": "abcdefgh", "SHORT": "xyz", "EMPTY": ""})
	const text = "abcdefg is one character short, and xyz is too short for a secret"
	if got := s.String(text); got != text {
		t.Errorf("became %q", got)
	}
}

func TestOnlyWhatMayBeASecretIsHeldBack(t *testing.T) {
	var out bytes.Buffer
	w := redact.New(redact.Secrets{"KEY": "abcdefgh"}).Writer(&out)
	for _, c := range []struct{ write, want string }{
		{"text abc", "text "},
		{"x", "text abcx"},
		{"\n", "text abcx\n"},
	} {
		if _, err := w.Write([]byte(c.write)); err != nil || out.String() != c.want {
			t.Errorf("after %q: %q, %v; want %q", c.write, out.String(), err, c.want)
		}
	}
}

func TestOverlappingSecretsGoTogether(t *testing.T) {
	s := redact.New(redact.Secrets{"A": "abcdef", "B": "abcdefgh", "C": "ghijkl"})
	for _, c := range []struct{ why, text, want string }{
		{"one secret begins another: the longer one is named", "-abcdefgh-", "-[redacted:B]-"},
		{"only the shorter one is there", "-abcdefg-", "-[redacted:A]g-"},
		{"two that share bytes leave none of either", "-abcdefghijkl-", "-[redacted:B]-"},
		{"two side by side are two", "abcdefabcdef", "[redacted:A][redacted:A]"},
	} {
		if got := s.String(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

func TestASecretThatRepeatsItselfIsRedactedOnce(t *testing.T) {
	var out bytes.Buffer
	w := redact.New(redact.Secrets{"A": "aaaaaaaa"}).Writer(&out)
	for range 10_000 {
		if _, err := w.Write([]byte("aaaaaaaaaaaaa")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || out.String() != "[redacted:A]" {
		t.Errorf("%q, %v: want one redaction", out.String(), err)
	}
}

func TestFoundCounts(t *testing.T) {
	w := redact.New(redact.Secrets{"A": "abcdef"}).Writer(&bytes.Buffer{})
	if _, err := w.Write([]byte("abcdef and abcdef")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil || w.Found() != 2 {
		t.Errorf("found %d, %v; want 2", w.Found(), err)
	}
}

type broken struct{}

var errBroken = errors.New("disk full")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestAnErrorOfTheWriterIsToldAndStays(t *testing.T) {
	w := redact.New(nil).Writer(broken{})
	if _, err := w.Write([]byte("x")); !errors.Is(err, errBroken) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.Write(nil); !errors.Is(err, errBroken) {
		t.Errorf("second write: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errBroken) {
		t.Errorf("close: %v", err)
	}
}

func BenchmarkScrub(b *testing.B) {
	s := redact.New(redact.Secrets{"A": strings.Repeat("k", 40), "B": strings.Repeat("q", 100)})
	text := strings.Repeat("a line of an agent's log that holds no secret at all\n", 20_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.String(text)
	}
}
