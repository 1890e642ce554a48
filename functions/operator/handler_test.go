package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/apikey"
	"outpost/shared/platform"
)

// keyed are the platform's secrets with a key as the operator's.
func keyed(t *testing.T, operator string) *platform.Secrets {
	t.Helper()
	d := platform.Document{PepperVersion: "v1", Pepper: bytes.Repeat([]byte("p"), 32)}
	s, err := d.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	if operator != "" {
		d.OperatorKeyHash = s.Hasher().Hash(operator)
		if s, err = d.Secrets(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func fresh(t *testing.T) string {
	t.Helper()
	key, err := apikey.New(apikey.Live)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTheOperatorsKeyAloneOpens(t *testing.T) {
	operator := fresh(t)
	h := handler{keyed(t, operator)}
	ask := func(h handler, identity ...string) answer {
		got, err := h.handle(t.Context(), events.APIGatewayV2CustomAuthorizerV2Request{IdentitySource: identity})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, header := range []string{"Bearer " + operator, "bearer " + operator} {
		if got := ask(h, header); !got.IsAuthorized || got.Context["operator"] != "true" || len(got.Context) != 1 {
			t.Errorf("the operator is answered %+v", got)
		}
	}
	for why, identity := range map[string][]string{
		"another key": {"Bearer " + fresh(t)}, "no scheme": {operator}, "another scheme": {"Basic " + operator}, "nothing": nil, "empty": {""},
		"a part": {"Bearer " + operator[:len(operator)-1]}, "garbage": {"Bearer op_live_" + strings.Repeat("0", 38)}, "two": {"Bearer " + operator, "Bearer " + operator},
	} {
		if got := ask(h, identity...); got.IsAuthorized || got.Context != nil {
			t.Errorf("%s: %+v", why, got)
		}
	}
	if got := ask(handler{keyed(t, "")}, "Bearer "+operator); got.IsAuthorized {
		t.Error("where no operator was appointed, somebody is it")
	}
	if encoded, _ := json.Marshal(ask(h, "Bearer "+operator)); bytes.Contains(encoded, []byte(operator[8:])) {
		t.Error("the answer holds the key")
	}
}
