package token_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/token"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func signer(t *testing.T, pepper byte) *token.Signer {
	t.Helper()
	s, err := token.NewSigner(bytes.Repeat([]byte{pepper}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claims() token.Claims {
	return token.Claims{Kind: token.Ticket, Tenant: "ten_a", Run: "run_b", Attempt: 1, Expires: now.Add(time.Minute).Unix()}
}

func TestATokenSaysWhatWasSigned(t *testing.T) {
	s := signer(t, 'a')
	tok := s.Sign(claims())
	if tok != s.Sign(claims()) {
		t.Error("equal claims gave two tokens: a retried launch would send another ticket")
	}
	got, err := s.Verify(token.Ticket, tok, now)
	if err != nil || got != claims() {
		t.Errorf("verify: %+v, %v", got, err)
	}
}

func TestAnyChangeOfATokenIsRefused(t *testing.T) {
	s := signer(t, 'a')
	tok := s.Sign(claims())
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(tok)-1).Draw(t, "at")
		b := rapid.Byte().Draw(t, "byte")
		forged := tok[:i] + string([]byte{b}) + tok[i+1:]
		if forged == tok {
			return
		}
		if _, err := s.Verify(token.Ticket, forged, now); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("changing byte %d to %q: %v", i, b, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	s := signer(t, 'a')
	tok := s.Sign(claims())
	for _, c := range []struct {
		why    string
		signer *token.Signer
		kind   token.Kind
		tok    string
		now    time.Time
		want   error
	}{
		{"signed under another pepper", signer(t, 'b'), token.Ticket, tok, now, token.ErrInvalid},
		{"a ticket is no run token", s, token.Run, tok, now, token.ErrInvalid},
		{"its last second has passed", s, token.Ticket, tok, now.Add(time.Minute), token.ErrExpired},
		{"empty", s, token.Ticket, "", now, token.ErrInvalid},
		{"only a prefix", s, token.Ticket, "opw_", now, token.ErrInvalid},
		{"no signature", s, token.Ticket, "opw_e30.", now, token.ErrInvalid},
	} {
		if _, err := c.signer.Verify(c.kind, c.tok, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.why, err, c.want)
		}
	}
}

func TestAShortPepperIsRefused(t *testing.T) {
	if _, err := token.NewSigner(make([]byte, 31)); err == nil {
		t.Error("31 bytes were accepted")
	}
}
