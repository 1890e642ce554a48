package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"outpost/cmd/outpost/internal/apitest"
)

const keyText = `op_(live|test)_[0-9A-Za-z]{38}`

var (
	aKey       = regexp.MustCompile(`\b` + keyText + `\b`)
	aKeyAlone  = regexp.MustCompile(`^` + keyText + "\n$")
	anID       = regexp.MustCompile(`key_[0-9A-Z]{26}`)
	howToRetry = regexp.MustCompile(`repeat the command .*with (--idempotency-key .*)`)
)

func TestANewKeyGoesToStdoutAloneAndOnce(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	nextYear := strconv.Itoa(time.Now().Year() + 1)
	for _, c := range []struct {
		args []string
		want string // of the key
		body string
	}{
		{[]string{"ci", "--scopes", "tasks:write"}, "op_live_", `{"name":"ci","scopes":["tasks:write"]}`},
		{[]string{"ci", "--scopes", "tasks:write,secrets:write", "--test", "--expires", nextYear + "-01-02T03:04:05+01:00"}, "op_test_",
			`{"expires_at":"` + nextYear + `-01-02T02:04:05Z","kind":"test","name":"ci","scopes":["tasks:write","secrets:write"]}`},
		{[]string{"ci", "--scopes", "tasks:read", "--live", "--idempotency-key", "mine"}, "op_live_", `{"name":"ci","scopes":["tasks:read"]}`},
	} {
		got := finish(t, command(t, api, append([]string{"keys", "create"}, c.args...)...))
		if got.code != 0 || !aKeyAlone.MatchString(got.stdout) || !strings.HasPrefix(got.stdout, c.want) {
			t.Errorf("%v: exit %d: %s%s", c.args, got.code, got.stdout, got.stderr)
		}
		if !anID.MatchString(got.stderr) || !strings.Contains(got.stderr, "shown this once") || aKey.MatchString(got.stderr) {
			t.Errorf("%v: beside it: %s", c.args, got.stderr)
		}
		asked := api.Requests()
		sent := asked[len(asked)-1]
		if body, err := json.Marshal(sent.Body); err != nil || string(body) != c.body {
			t.Errorf("sent %s, want %s", body, c.body)
		}
		if key := sent.Header.Get("Idempotency-Key"); len(key) < 20 && key != "mine" {
			t.Errorf("idempotency key %q", key)
		}
	}
	for _, args := range [][]string{{"keys"}, {"keys", "list"}, {"keys", "list", "--json"}} {
		if got := finish(t, command(t, api, args...)); got.code != 0 || len(anID.FindAllString(got.stdout, -1)) != 3 || aKey.MatchString(got.stdout) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	var k struct{ ID, Secret, State string }
	got := finish(t, command(t, api, "keys", "create", "x", "--scopes", "tasks:read", "--json"))
	if err := json.Unmarshal([]byte(got.stdout), &k); err != nil || !aKey.MatchString(k.Secret) || k.State != "active" || aKey.MatchString(got.stderr) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestEveryKeyIsListedHoweverManyPagesTheyFill(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	const many = 205 // a page has 100 at most
	for n := range many {
		r, err := http.NewRequest("POST", api.URL+"/v1/keys", strings.NewReader(`{"name":"ci","scopes":["tasks:read"]}`))
		must(t, err)
		r.Header = http.Header{"Authorization": {"Bearer " + api.Key}, "Content-Type": {"application/json"}, "Idempotency-Key": {strconv.Itoa(n)}}
		res, err := http.DefaultClient.Do(r)
		must(t, err)
		if res.Body.Close(); res.StatusCode != 201 {
			t.Fatal(res.Status)
		}
	}
	for _, args := range [][]string{{"keys"}, {"keys", "list", "--json"}} {
		if got := finish(t, command(t, api, args...)); got.code != 0 || len(anID.FindAllString(got.stdout, -1)) != many {
			t.Errorf("%v: exit %d, %d keys: %s", args, got.code, len(anID.FindAllString(got.stdout, -1)), got.stderr)
		}
	}
}

func TestAKeyThatCannotBeIsNotAskedFor(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"create", "ci"}, 2, "--scopes"},
		{[]string{"create", "--scopes", "tasks:read"}, 2, "<name>"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--live", "--test"}, 2, "--live and --test"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--expires", "2020-01-01"}, 2, "--expires"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--expires", "0d"}, 2, "--expires"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--expires", "-5h"}, 2, "--expires"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--expires", "3654d"}, 2, "at most ten years"},
		{[]string{"create", "ci", "--scopes", "tasks:read", "--expires", "9999-12-31T23:59:59-23:59"}, 2, "at most ten years"},
		{[]string{"create", "ci", "--scopes", "tasks:all"}, 3, "scopes/0"},
		{[]string{"create", strings.Repeat("n", 101), "--scopes", "tasks:read"}, 3, "name"},
		{[]string{"rotate", "ci"}, 2, "key_"},
		{[]string{"rotate", "key_01KAR5G5M00000000000000001", "--overlap", "500ms"}, 2, "whole seconds"},
		{[]string{"rotate", "key_01KAR5G5M00000000000000001", "--overlap", "8d"}, 3, "overlap_seconds"},
		{[]string{"rotate", "key_01KAR5G5M00000000000000001"}, 3, "nothing with this id"},
		{[]string{"revoke", "tsk_01KAR5G5M00000000000000001"}, 2, "key_"},
		{[]string{"revoke", "key_01KAR5G5M00000000000000001"}, 3, "nothing with this id"},
	} {
		if got := finish(t, command(t, api, append([]string{"keys"}, c.args...)...)); got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}

func TestAKeyIsRotatedAndRevoked(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	old := anID.FindString(finish(t, command(t, api, "keys", "create", "ci", "--test", "--scopes", "tasks:write")).stderr)
	for overlap, want := range map[string]any{"": nil, "0s": "0", "90s": "90", "7d": "604800"} {
		args := []string{"keys", "rotate", old}
		if overlap != "" {
			args = append(args, "--overlap", overlap)
		}
		got := finish(t, command(t, api, args...))
		if got.code != 0 || !aKeyAlone.MatchString(got.stdout) || !strings.HasPrefix(got.stdout, "op_test_") ||
			!strings.Contains(got.stderr, "takes the part of "+old+", which goes on until 2026-11-24 10:00:04.") || aKey.MatchString(got.stderr) {
			t.Errorf("%q: %+v", overlap, got)
		}
		asked := api.Requests()
		if sent, there := asked[len(asked)-1].Body["overlap_seconds"]; there != (want != nil) || there && sent.(json.Number).String() != want {
			t.Errorf("%q: sent %v", overlap, asked[len(asked)-1].Body)
		}
	}
	if got := finish(t, command(t, api, "keys", "revoke", old)); got.code != 0 || got.stdout != old+" (ci) is revoked\n" {
		t.Errorf("%+v", got)
	}
	if got := finish(t, command(t, api, "keys", "revoke", old)); got.code != 3 {
		t.Errorf("twice: %+v", got)
	}
}

// lost cuts the first n answers off that tell of something made.
func lost(n int) func(*http.Request) bool {
	return func(r *http.Request) bool {
		n--
		return r.Method == http.MethodPost && n >= 0
	}
}

// What is made is made once, and is seen, though answers are lost: within the
// command, and when the command itself has to be repeated as it says.
func TestALostAnswerMakesNoSecondOne(t *testing.T) {
	for name, c := range map[string]struct {
		admin bool
		args  []string
		list  []string
		id    *regexp.Regexp
	}{
		"a key":    {false, []string{"keys", "create", "ci", "--scopes", "tasks:read", "--expires", "90d"}, []string{"keys"}, anID},
		"a tenant": {true, []string{"admin", "tenants", "create", "Acme", "--email", "dev@acme.example"}, []string{"admin", "tenants"}, regexp.MustCompile(`ten_[0-9A-Z]{26}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := apitest.Start(t, apitest.Script{Cut: lost(2)})
			run := func(args ...string) result {
				if c.admin {
					return asOperator(t, api, args...)
				}
				return finish(t, command(t, api, args...))
			}
			if got := run(c.args...); got.code != 0 || len(aKey.FindAllString(got.stdout, -1)) != 1 {
				t.Errorf("two answers lost: %+v", got)
			}
			api.Cut = lost(5) // every try of one command
			got := run(c.args...)
			how := howToRetry.FindStringSubmatch(got.stderr)
			if got.code != 4 || how == nil || aKey.MatchString(got.stdout+got.stderr) {
				t.Fatalf("every answer lost: %+v", got)
			}
			api.Cut = nil
			again := append(append([]string{}, c.args...), strings.Fields(how[1])...)
			first, second := run(again...), run(again...)
			if first.code != 0 || aKey.FindString(first.stdout) == "" || aKey.FindString(first.stdout) != aKey.FindString(second.stdout) {
				t.Errorf("repeated: %+v, and %+v", first, second)
			}
			if got := run(c.list...); len(c.id.FindAllString(got.stdout, -1)) != 2 {
				t.Errorf("two were asked for, and there are\n%s", got.stdout)
			}
		})
	}
}

func TestAKeyThatCouldNotBeWrittenIsShownAgain(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	cmd := command(t, api, "keys", "create", "ci", "--scopes", "tasks:read")
	cmd.Stdout = full
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil {
		t.Error("nothing was seen, and the command is content")
	}
	how := howToRetry.FindStringSubmatch(strings.ReplaceAll(stderr.String(), "\n", " "))
	if how == nil {
		t.Fatalf("it does not say how to see it: %s", stderr.String())
	}
	again := finish(t, command(t, api, append([]string{"keys", "create", "ci", "--scopes", "tasks:read"}, strings.Fields(how[1])...)...))
	if again.code != 0 || !aKeyAlone.MatchString(again.stdout) {
		t.Errorf("%+v", again)
	}
	if got := finish(t, command(t, api, "keys")); strings.Count(got.stdout, "key_") != 1 {
		t.Errorf("keys:\n%s", got.stdout)
	}
}

func TestLimitsTellWhereTheTenantStands(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	got := finish(t, command(t, api, "limits"))
	for _, want := range []string{"plan       pro\n", "runs today 12 of 100, from 0 again at 2026-11-24 00:00:00\n", "at once    2 of 5, 0 waiting\n",
		"agents     claude codex gemini grok aider\n", "time-out   up to 15m0s\n", "requests   up to 1800 a minute\n"} {
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in %+v", want, got)
		}
	}
	var l map[string]any
	got = finish(t, command(t, api, "limits", "--json"))
	if err := json.Unmarshal([]byte(got.stdout), &l); err != nil || l["max_timeout_seconds"] != 900.0 || len(l) != 7 {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestATaskThatWaitsShowsItsPlace(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	taskID := strings.TrimSpace(finish(t, command(t, api, "run", "-d", "-r", repo, "p")).stdout)
	api.Place, api.MayStartAt = 3, time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	if got := finish(t, command(t, api, "get", taskID)); !strings.Contains(got.stdout, "place 3 of your own, may start at about 2026-11-23 11:00:00\n") {
		t.Errorf("%+v", got)
	}
	api.Place = 0
	if got := finish(t, command(t, api, "get", taskID)); got.code != 0 || strings.Contains(got.stdout, "queue") {
		t.Errorf("none waits: %+v", got)
	}
}
