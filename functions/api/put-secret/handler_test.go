package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/kms"
	"outpost/infra/local/sdktest"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/secret"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

const (
	arn   = "arn:aws:kms:us-east-1:000000000000:key/k"
	value = "a-private-value-of-some-length"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route, *secret.Vault) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	keys, err := kms.Open(arn, t.TempDir())
	w.Must(err)
	vault := secret.NewVault(awskms.NewFromConfig(sdktest.Config(t, keys.Handler())), arn, w.Table)
	return w, apitest.Serve(t, "PUT", "/v1/secrets/{name}", handler{vault, c}.handle), vault
}

func TestASecretIsSealedAndItsNewestValueCounts(t *testing.T) {
	w, route, vault := newWorld(t)
	for _, v := range []string{"first-value", value} {
		if a := route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"` + v + `"}`}); a.Status != 204 || len(a.Body) > 0 {
			t.Fatalf("answered %d %s", a.Status, a.Body)
		}
	}
	got, _, err := vault.Open(t.Context(), w.Tenant, "OPENAI_API_KEY")
	if err != nil || got != value {
		t.Errorf("%q, %v", got, err)
	}
	route.As(w.Caller, apitest.Request{ID: "GIT_TOKEN", Body: `{"value":"` + value + `","host":"git.example.com"}`}).Into(t, 204, nil)
	if _, host, err := vault.Open(t.Context(), w.Tenant, "GIT_TOKEN"); err != nil || host != "git.example.com" {
		t.Errorf("%q, %v", host, err)
	}
}

func TestAStrangersSecretIsItsOwn(t *testing.T) {
	w, route, vault := newWorld(t)
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"mine"}`}).Into(t, 204, nil)
	route.As(w.Stranger("pro"), apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"theirs"}`}).Into(t, 204, nil)
	if got, _, err := vault.Open(t.Context(), w.Tenant, "OPENAI_API_KEY"); err != nil || got != "mine" {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever is wrong with it, a value is in no answer and in no line of the log.
func TestARefusalNamesTheFieldAndNeverTheValue(t *testing.T) {
	w, route, _ := newWorld(t)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	for _, c := range []struct {
		why, name, body string
		code            problem.Code
		field           string
	}{
		{"a space", "OPENAI_API_KEY", `{"value":"` + value + ` x"}`, problem.ValidationFailed, "/value"},
		{"a new line", "OPENAI_API_KEY", `{"value":"` + value + `\n"}`, problem.ValidationFailed, "/value"},
		{"empty", "OPENAI_API_KEY", `{"value":""}`, problem.ValidationFailed, "/value"},
		{"too long", "OPENAI_API_KEY", `{"value":"` + strings.Repeat(value, 300) + `"}`, problem.ValidationFailed, "/value"},
		{"a wrong type", "OPENAI_API_KEY", `{"value":["` + value + `"]}`, problem.ValidationFailed, "/value"},
		{"an unknown field", "OPENAI_API_KEY", `{"value":"x","` + value + `":1}`, problem.ValidationFailed, ""},
		{"a host for a provider's key", "OPENAI_API_KEY", `{"value":"` + value + `","host":"example.com"}`, problem.ValidationFailed, "/host"},
		{"a token for everywhere", "GIT_TOKEN", `{"value":"` + value + `"}`, problem.ValidationFailed, "/host"},
		{"a token for a URL", "GIT_TOKEN", `{"value":"` + value + `","host":"https://github.com"}`, problem.ValidationFailed, "/host"},
		{"a token for this machine", "GIT_TOKEN", `{"value":"` + value + `","host":"localhost"}`, problem.ValidationFailed, "/host"},
		{"no JSON", "OPENAI_API_KEY", `{"value":"` + value, problem.MalformedRequest, ""},
		{"an unknown name", "AWS_SECRET_ACCESS_KEY", `{"value":"` + value + `"}`, problem.NotFound, ""},
	} {
		a := route.As(w.Caller, apitest.Request{ID: c.name, Body: c.body})
		a.Refused(t, c.code, c.field)
		if c.why != "an unknown field" && strings.Contains(string(a.Body), value) {
			t.Errorf("%s: the value is in the answer: %s", c.why, a.Body)
		}
	}
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"` + value + `"}`}).Into(t, 204, nil)
	if trail := w.Audited("secret.put"); len(trail) != 1 || trail[0].Target != "OPENAI_API_KEY" || trail[0].Actor != w.Caller.KeyID || trail[0].Address == "" {
		t.Errorf("the trail: %+v", trail)
	}
	w.TrailHides(w.Tenant, value)
	if strings.Contains(log.String(), value) {
		t.Errorf("the value is in the log: %s", log.String())
	}
}

// refusing is a store that takes nothing.
type refusing struct{ err error }

func (s refusing) Put(context.Context, string, string, string, string, table.By) error { return s.err }

func TestWhatAStoreDoesNotTakeIsSaidPlainly(t *testing.T) {
	w, _, _ := newWorld(t)
	for _, c := range []struct {
		err   error
		code  problem.Code
		field string
	}{
		{fmt.Errorf("put secret: %w: 70000 bytes", secret.ErrFull), problem.ValidationFailed, "/value"},
		{fmt.Errorf("put secret: %w: a hundred", secret.ErrTooOften), problem.RateLimited, ""},
		{fmt.Errorf("put secret: %w: others", table.ErrConflict), problem.Busy, ""},
	} {
		route := apitest.Serve(t, "PUT", "/v1/secrets/{name}", handler{refusing{c.err}, w.Clock}.handle)
		a := route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"` + value + `"}`})
		a.Refused(t, c.code, c.field)
		if (c.code == problem.RateLimited) != (a.Header["Retry-After"] == "3600") {
			t.Errorf("%s: try again after %q s", c.code, a.Header["Retry-After"])
		}
	}
}

func TestARevokedKeySetsNothing(t *testing.T) {
	w, route, vault := newWorld(t)
	w.Revoke(w.Caller)
	route.As(w.Caller, apitest.Request{ID: "OPENAI_API_KEY", Body: `{"value":"late"}`}).Refused(t, problem.Unauthorized, "")
	if _, _, err := vault.Open(t.Context(), w.Tenant, "OPENAI_API_KEY"); err != secret.ErrNotSet {
		t.Errorf("%v", err)
	}
}
