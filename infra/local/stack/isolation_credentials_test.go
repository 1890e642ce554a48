package stack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"outpost/shared/tenant"
)

// withoutScope calls an operation with keys that lack one scope each.
func (i *isolation) withoutScope(o operation) {
	i.t.Helper()
	if o.security != "apiKey" {
		return
	}
	if i.exceptKeys == nil {
		i.exceptKeys = map[string]string{}
		for _, s := range tenant.Scopes {
			i.exceptKeys[s], _ = i.mine.except(s)
		}
	}
	var theirs, nobody string
	if o.hasID() {
		theirs, nobody = i.strange(o)
	}
	for _, s := range tenant.Scopes {
		path, body := o.request(theirs, "", "")
		other, _ := o.request(nobody, "", "")
		if s == o.scope || !(tenant.Caller{Scopes: i.scopesExcept(s)}).May(o.scope) {
			if status := i.same(o, i.exceptKeys[s], path, other, body, body); status != http.StatusForbidden {
				i.t.Errorf("%s without %s: %d", o, s, status)
			}
		} else if o.kind != "" {
			if a := i.ask(o, i.exceptKeys[s], other, body); a.status != http.StatusNotFound {
				i.t.Errorf("%s without %s, which it does not want: %d", o, s, a.status)
			}
		}
	}
}

func (i *isolation) scopesExcept(scope string) (rest []string) {
	for _, s := range tenant.Scopes {
		if !(tenant.Caller{Scopes: []string{s}}).May(scope) {
			rest = append(rest, s)
		}
	}
	return rest
}

// withWrongCredential calls an operation with every credential but its own.
func (i *isolation) withWrongCredential(o operation) {
	i.t.Helper()
	if o.security == "" {
		return
	}
	credentials := map[string]string{"none": "", "apiKey": i.mine.key, "operatorKey": i.operator.key, "garbage": "op_" + "live_" + strings.Repeat("a", 38),
		"ticket": i.tokens.of("ticket", i.mine.tenant, i.mine.things["run"]), "runToken": i.tokens.of("runToken", i.mine.tenant, i.mine.things["run"]),
		"expired": i.tokens.expired(o.security, i.mine.tenant, i.mine.things["run"])}
	var theirs, nobody string
	if o.hasID() {
		theirs, nobody = i.strange(o)
	}
	path, body := o.request(theirs, "", "")
	other, _ := o.request(nobody, "", "")
	for _, name := range slices.Sorted(maps.Keys(credentials)) {
		if name == o.security {
			continue
		}
		a, b := i.ask(o, credentials[name], path, body), i.ask(o, credentials[name], other, body)
		want := http.StatusForbidden
		if name == "none" {
			want = http.StatusUnauthorized
		}
		if i.like(o, path, a, b); a.status != want {
			i.t.Errorf("%s with the credential %s: %d %s", o, name, a.status, a.body)
		}
	}
}
