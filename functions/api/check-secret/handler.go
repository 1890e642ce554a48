package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/secret"
	"outpost/shared/table"
)

type store interface {
	Secrets(ctx context.Context, tenantID string) ([]table.Sealed, error)
	Note(ctx context.Context, tenantID string, by table.By) error
}

type vault interface {
	Open(ctx context.Context, tenantID, name string) (value, host string, err error)
}

type handler struct {
	store        store
	vault        vault
	clock        clock.Clock
	repositories api.Repositories
	providerURLs map[string]string // in place of providers' own, by name
	patience     time.Duration     // with whoever is asked
}

// answer never holds the secret, nor a word of whoever was asked: providers
// repeat keys in their errors.
type answer struct {
	Name      string `json:"name"`
	State     state  `json:"state"`
	Detail    string `json:"detail"`
	SetAt     string `json:"set_at"`
	CheckedAt string `json:"checked_at"`
}

type state string

const (
	works   state = "works"
	refused state = "refused"
	unknown state = "unknown"
)

// verdict is what whoever was asked made of the secret.
type verdict struct {
	state  state
	detail string
}

// handle leaves a trace in the audit trail before it asks: a key that is revoked
// by then asks nobody, and whatever happens to the answer, the use of the secret
// is known.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in struct{ Repo string }
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	s, err := h.open(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	ask, err := h.question(s, in.Repo)
	if err != nil {
		return api.Response{}, err
	}
	by := r.By(h.clock.Now(), "secret.check", s.name)
	by.Audit.Detail = in.Repo
	if err := h.store.Note(ctx, r.Caller.Tenant, by); err != nil {
		return api.Response{}, err
	}
	asking, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	v := ask(asking)
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return api.OK(answer{s.name, v.state, v.detail, stamp(s.setAt), stamp(h.clock.Now())}), nil
}

// opened is a secret in clear.
type opened struct {
	name, value, host string
	setAt             time.Time
}

// maxReads bounds how often a secret is read that is being set.
const maxReads = 3

// open opens a secret, and knows when the value was set that it opened.
func (h handler) open(ctx context.Context, tenantID, name string) (opened, error) {
	before, err := h.newest(ctx, tenantID, name)
	for range maxReads {
		if err != nil {
			return opened{}, err
		}
		value, host, err := h.vault.Open(ctx, tenantID, name)
		if errors.Is(err, secret.ErrNotSet) {
			return opened{}, problem.NotThere().Because(err)
		}
		if err != nil {
			return opened{}, err
		}
		after, err := h.newest(ctx, tenantID, name)
		if err != nil {
			return opened{}, err
		}
		if after.Version == before.Version && after.SetAt.Equal(before.SetAt) {
			return opened{name, value, host, after.SetAt}, nil
		}
		before = after
	}
	return opened{}, table.ErrConflict
}

// newest finds what is stored beside a secret.
func (h handler) newest(ctx context.Context, tenantID, name string) (table.Sealed, error) {
	all, err := h.store.Secrets(ctx, tenantID)
	if err != nil {
		return table.Sealed{}, err
	}
	i := slices.IndexFunc(all, func(s table.Sealed) bool { return s.Name == name })
	if i < 0 {
		return table.Sealed{}, table.ErrNotFound
	}
	return all[i], nil
}

// question finds whom to ask, and refuses a request that does not say it.
func (h handler) question(s opened, repo string) (func(context.Context) verdict, error) {
	if s.name == secret.GitToken {
		u, wrong := h.repositories.Check(repo)
		switch {
		case repo == "":
			wrong = []problem.Field{{Field: "/repo", Message: "must name a repository on " + s.host + " that the token opens and not everybody"}}
		case wrong == nil && u.Scheme == "file", wrong == nil && !strings.EqualFold(u.Host, s.host):
			wrong = []problem.Field{{Field: "/repo", Message: "must be on " + s.host + ", the only host that the token goes to"}}
		}
		if wrong != nil {
			return nil, api.Invalid(wrong...)
		}
		g := newGitHost(h.repositories.Reach, u)
		return func(ctx context.Context) verdict { return g.check(ctx, s.value) }, nil
	}
	if repo != "" {
		return nil, api.Invalid(problem.Field{Field: "/repo", Message: "is for " + secret.GitToken + " alone"})
	}
	for _, p := range agent.Providers() {
		if p.Secret != s.name {
			continue
		}
		base := p.BaseURL
		if other := h.providerURLs[p.Name]; other != "" {
			base = other
		}
		return func(ctx context.Context) verdict { return askProvider(ctx, p.Name, base, s.value) }, nil
	}
	return nil, fmt.Errorf("the secret %s has no provider", s.name)
}

// tlsTimeout is how long whoever is asked may take to show who it is.
const tlsTimeout = 5 * time.Second

// newClient makes a client for one check, which asks nobody that it was not told
// to: past no proxy of the environment, and with the redirects alone that follow
// lets pass.
func newClient(d *net.Dialer, follow func(next *http.Request, before []*http.Request) error) *http.Client {
	return &http.Client{CheckRedirect: follow,
		Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: tlsTimeout, ForceAttemptHTTP2: true}}
}

// nowhere follows no redirect: its answer is the last.
func nowhere(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
