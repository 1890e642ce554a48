package apikey_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"outpost/shared/apikey"
)

// shape is what scanners look for.
var shape = regexp.MustCompile(`^op_(live|test)_[0-9A-Za-z]{38}$`)

func fresh(t interface{ Fatal(...any) }, m apikey.Mode) string {
	key, err := apikey.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFreshKeysPass(t *testing.T) {
	for _, m := range []apikey.Mode{apikey.Live, apikey.Test} {
		key := fresh(t, m)
		if !shape.MatchString(key) || apikey.Check(key) != nil {
			t.Errorf("a fresh %s key does not pass its own check", m)
		}
	}
}

func TestEveryOneCharacterTypoIsRefused(t *testing.T) {
	key := fresh(t, apikey.Live)
	for i := range key {
		for _, c := range "0aZz_ é"[:] {
			typo := key[:i] + string(c) + key[i+1:]
			if typo != key && !errors.Is(apikey.Check(typo), apikey.ErrMalformed) {
				t.Fatalf("a typo at %d passed", i)
			}
		}
	}
}

func TestGarbageIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`op_(live|test)_[0-9A-Za-z]{38}`)).Draw(t, "s")
		if apikey.Check(s) == nil {
			t.Fatalf("%q passed", s)
		}
	})
}

func TestHashDependsOnKeyPepperAndVersion(t *testing.T) {
	key := fresh(t, apikey.Live)
	hash := func(version string, pepper byte, key string) string {
		h, err := apikey.NewHasher(version, bytes.Repeat([]byte{pepper}, 32))
		if err != nil {
			t.Fatal(err)
		}
		return h.Hash(key)
	}
	base := hash("1", 'a', key)
	if base != hash("1", 'a', key) {
		t.Error("the same key hashes differently")
	}
	for what, other := range map[string]string{
		"version": hash("2", 'a', key), "pepper": hash("1", 'b', key), "key": hash("1", 'a', fresh(t, apikey.Live)),
	} {
		if other == base {
			t.Errorf("another %s gives the same hash", what)
		}
	}
	if strings.Contains(base, key[8:]) {
		t.Error("the hash holds the key")
	}
}

func TestAWeakPepperIsRefused(t *testing.T) {
	if _, err := apikey.NewHasher("1", []byte("short")); err == nil {
		t.Error("a short pepper was accepted")
	}
	if _, err := apikey.NewHasher("", bytes.Repeat([]byte{1}, 32)); err == nil {
		t.Error("a pepper without a version was accepted")
	}
}

func TestDisplayShowsFourCharacters(t *testing.T) {
	key := fresh(t, apikey.Test)
	if d := apikey.Display(key); d != "op_test_…"+key[len(key)-4:] {
		t.Errorf("display form is %s", d)
	}
}

func TestADerivedKeyIsTheSameAgainAndNobodyElsesToMake(t *testing.T) {
	h, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := apikey.NewIssuer(h, bytes.Repeat([]byte("a"), 32)), apikey.NewIssuer(h, bytes.Repeat([]byte("b"), 32))
	seen := map[string]bool{}
	for range 1000 {
		one, err := mine.New(apikey.Live)
		if err != nil || apikey.Check(one.Text) != nil || one.Hash != h.Hash(one.Text) || one.Display != apikey.Display(one.Text) || seen[one.Text] {
			t.Fatalf("%+v, %v", one, err)
		}
		seen[one.Text] = true
		again, err := mine.Again(apikey.Live, one.Nonce)
		if err != nil || again.Text != one.Text {
			t.Fatalf("again it is another: %v", err)
		}
		test, _ := mine.Again(apikey.Test, one.Nonce)
		stranger, _ := theirs.Again(apikey.Live, one.Nonce)
		if test.Text[8:40] == one.Text[8:40] || stranger.Text == one.Text {
			t.Fatal("kind or secret do not matter")
		}
	}
	if _, err := mine.Again(apikey.Live, []byte("short")); err == nil {
		t.Error("a short nonce is taken")
	}
	if _, err := apikey.NewIssuer(h, []byte("weak")).New(apikey.Live); err == nil {
		t.Error("a weak secret is taken")
	}
}
