package apitest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"outpost/shared/apikey"
	"outpost/shared/contract"
	"outpost/shared/id"
)

// refusedBody is the refusal of a body that the contract does not take, if it is
// one.
func (a *API) refusedBody(method, path string, body map[string]any) (status int, answer any, refused bool) {
	op, err := contract.Load(method, path)
	if err != nil {
		a.t.Error(err)
		return 0, nil, false
	}
	fields := op.CheckBody(body)
	if len(fields) == 0 {
		return 0, nil, false
	}
	status, answer = problem(422, "validation_failed", "The request is not valid.", map[string]any{"field": fields[0].Field, "message": fields[0].Message})
	return status, answer, true
}

// madeOnce answers what was made under the request's idempotency key before, or
// makes it.
func (a *API) madeOnce(r *http.Request, make func() map[string]any) (int, any) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		a.t.Errorf("%s %s has no idempotency key", r.Method, r.URL.Path)
	}
	if a.byKey[key] == nil {
		a.byKey[key] = make()
	}
	return 201, a.byKey[key]
}

func (a *API) newKey(mode apikey.Mode) string {
	key, err := apikey.New(mode)
	if err != nil {
		a.t.Error(err)
	}
	return key
}

func (a *API) key(name string, scopes, expires any, secret string) map[string]any {
	k := map[string]any{"id": id.New(id.Key, time.Now()), "name": name, "display": secret[:8] + "…" + secret[len(secret)-4:], "scopes": scopes, "state": "active",
		"created_at": at, "expires_at": expires, "last_used_at": nil}
	a.keys = append(a.keys, k)
	return k
}

// with is an object with more in it.
func with(object map[string]any, more map[string]any) map[string]any {
	all := maps.Clone(object)
	maps.Copy(all, more)
	return all
}

func (a *API) listKeys(r *http.Request, _ map[string]any) (int, any) {
	newestFirst := slices.Clone(a.keys)
	slices.Reverse(newestFirst)
	return 200, part(r, newestFirst)
}

func (a *API) createKey(r *http.Request, body map[string]any) (int, any) {
	if status, answer, refused := a.refusedBody("POST", "/v1/keys", body); refused {
		return status, answer
	}
	return a.madeOnce(r, func() map[string]any {
		mode := apikey.Live
		if body["kind"] == "test" {
			mode = apikey.Test
		}
		secret := a.newKey(mode)
		return with(a.key(body["name"].(string), body["scopes"], body["expires_at"], secret), map[string]any{"secret": secret})
	})
}

func (a *API) findKey(r *http.Request) map[string]any {
	for _, k := range a.keys {
		if k["id"] == r.PathValue("id") && k["state"] == "active" {
			return k
		}
	}
	return nil
}

func (a *API) rotateKey(r *http.Request, body map[string]any) (int, any) {
	if status, answer, refused := a.refusedBody("POST", "/v1/keys/{id}/rotate", body); refused {
		return status, answer
	}
	old := a.findKey(r)
	if old == nil {
		return notFound()
	}
	return a.madeOnce(r, func() map[string]any {
		old["expires_at"] = "2026-11-24T10:00:04Z"
		secret := a.newKey(apikey.Live)
		if strings.HasPrefix(old["display"].(string), "op_test") {
			secret = a.newKey(apikey.Test)
		}
		return with(a.key(old["name"].(string), old["scopes"], nil, secret), map[string]any{"secret": secret, "replaces": old})
	})
}

func (a *API) revokeKey(r *http.Request, _ map[string]any) (int, any) {
	k := a.findKey(r)
	if k == nil {
		return notFound()
	}
	k["state"] = "revoked"
	return 200, k
}
