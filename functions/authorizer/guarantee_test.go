package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/guarantee"
	"outpost/shared/apikey"
)

// TestGuaranteeAMalformedKeyIsNeverLookedUp takes twenty good keys and breaks
// them 100,000 times: a character changed, dropped, doubled or swapped with its
// neighbour, upper for lower case, the other prefix, the front of one key on the
// end of another, random text of a key's shape. Each is refused and none causes a
// call of the table. The log of all that holds no key.
func TestGuaranteeAMalformedKeyIsNeverLookedUp(t *testing.T) {
	g := guarantee.For(t, "tenancy-6", "A malformed key is refused before anything is read.")
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	w := newWorld(t)
	var good []string
	for range 20 {
		key, _ := w.key(nil)
		good = append(good, key)
		if !w.ask("Bearer " + key).IsAuthorized {
			t.Fatal("a good key is refused")
		}
	}
	random, breaks := rand.New(rand.NewPCG(6, 1)), g.Pick(100_000, 3_000)
	calls, let, byWay := w.reads.Calls(), 0, map[string]int{}
	for range breaks {
		way := ways[random.IntN(len(ways))]
		key := good[random.IntN(len(good))]
		broken := way.breaks(random, key, good[random.IntN(len(good))])
		if strings.Contains(fmt.Sprint(good), broken) {
			continue // two equal neighbours swapped
		}
		byWay[way.name]++
		if w.ask("Bearer " + broken).IsAuthorized {
			let++
			t.Errorf("%s: let in", way.name)
		}
	}
	calls = w.reads.Calls() - calls
	if calls != 0 {
		t.Errorf("%d calls of the table", calls)
	}
	tried := 0
	for _, way := range ways {
		if tried += byWay[way.name]; byWay[way.name] == 0 {
			t.Errorf("no key was broken by %s", way.name)
		}
	}
	for _, key := range good {
		if strings.Contains(log.String(), key[len("op_live_"):]) {
			t.Error("the log holds a key")
		}
	}
	g.Figure("malformed keys", tried)
	g.Figure("let in", let)
	g.Figure("calls of the table", calls)
	g.Figure("seed", 6)
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ways are those in which a key is broken.
var ways = []struct {
	name   string
	breaks func(r *rand.Rand, key, other string) string
}{
	{"another character", func(r *rand.Rand, key, _ string) string {
		at := r.IntN(len(key))
		return key[:at] + string(alphabet[(strings.IndexByte(alphabet, key[at])+1+r.IntN(len(alphabet)-1))%len(alphabet)]) + key[at+1:]
	}},
	{"a character less", func(r *rand.Rand, key, _ string) string { at := r.IntN(len(key)); return key[:at] + key[at+1:] }},
	{"a character twice", func(r *rand.Rand, key, _ string) string { at := r.IntN(len(key)); return key[:at+1] + key[at:] }},
	{"two characters swapped", func(r *rand.Rand, key, _ string) string {
		at := r.IntN(len(key) - 1)
		return key[:at] + string(key[at+1]) + string(key[at]) + key[at+2:]
	}},
	{"upper case", func(_ *rand.Rand, key, _ string) string { return key[:8] + strings.ToUpper(key[8:]) }},
	{"lower case", func(_ *rand.Rand, key, _ string) string { return key[:8] + strings.ToLower(key[8:]) }},
	{"the other prefix", func(_ *rand.Rand, key, _ string) string { return strings.Replace(key, "live", "test", 1) }},
	{"another's end", func(r *rand.Rand, key, other string) string { at := 9 + r.IntN(30); return key[:at] + other[at:] }},
	{"random text", func(r *rand.Rand, key, _ string) string {
		text := []byte(key[:8])
		for range 38 {
			text = append(text, alphabet[r.IntN(len(alphabet))])
		}
		return string(text)
	}},
	{"random bytes", func(r *rand.Rand, _, _ string) string {
		text := make([]byte, r.IntN(80))
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		return string(text)
	}},
}

// TestGuaranteeALeakedTableOpensNothing reads the whole table as a thief would
// and signs in with what is there: each text as it is, as the body of a key, and
// as the secret and the nonce from which a well-formed key is derived. Nobody is
// let in, and no key or part of one is found in the table.
func TestGuaranteeALeakedTableOpensNothing(t *testing.T) {
	g := guarantee.For(t, "tenancy-6", "Who has the table has no key.")
	w := newWorld(t)
	var good []string
	for range g.Pick(200, 20) {
		key, _ := w.key(nil)
		good = append(good, key)
		w.ask("Bearer " + key) // its use is noted
	}
	leaked := w.everything()
	if len(leaked) < 5*len(good) {
		t.Fatalf("only %d texts are in the table", len(leaked))
	}
	whole, tries, let := strings.Join(leaked, "\n"), 0, 0
	for _, key := range good {
		if strings.Contains(whole, key[8:24]) {
			t.Error("the table holds a part of a key")
		}
	}
	for _, text := range leaked {
		attempts := []string{text, "op_" + "live_" + text, "op_" + "test_" + text}
		if len(text) >= 32 {
			derived, err := apikey.Derive(apikey.Live, []byte(text), []byte(text))
			if err != nil || apikey.Check(derived) != nil {
				t.Fatalf("%v", err)
			}
			attempts = append(attempts, derived)
		}
		for _, a := range attempts {
			tries++
			if w.ask("Bearer " + a).IsAuthorized {
				let++
				t.Errorf("%q lets in", a)
			}
		}
	}
	g.Figure("keys", len(good))
	g.Figure("texts in the table", len(leaked))
	g.Figure("tries to sign in with them", tries)
	g.Figure("let in", let)
}

// everything is each text of each row of the world's table.
func (w world) everything() (texts []string) {
	w.t.Helper()
	var walk func(v types.AttributeValue)
	walk = func(v types.AttributeValue) {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			texts = append(texts, v.Value)
		case *types.AttributeValueMemberB:
			texts = append(texts, string(v.Value))
		case *types.AttributeValueMemberM:
			for _, e := range v.Value {
				walk(e)
			}
		case *types.AttributeValueMemberL:
			for _, e := range v.Value {
				walk(e)
			}
		}
	}
	rows := dynamodb.NewScanPaginator(enginetest.Client(w.t, nil), &dynamodb.ScanInput{TableName: &w.name})
	for rows.HasMorePages() {
		page, err := rows.NextPage(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range page.Items {
			walk(&types.AttributeValueMemberM{Value: item})
		}
	}
	return texts
}
