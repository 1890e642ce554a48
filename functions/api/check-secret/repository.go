package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"outpost/shared/egress"
)

// gitHost is asked for the refs of one repository, as git does before a fetch.
type gitHost struct {
	client *http.Client
	repo   *url.URL
}

func newGitHost(reach egress.Policy, repo *url.URL) gitHost {
	return gitHost{newClient(reach.Dialer(), sameHost(repo)), repo}
}

// sameHost follows redirects within one scheme and host, three at most.
func sameHost(first *url.URL) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, before []*http.Request) error {
		if next.URL.Scheme != first.Scheme || !strings.EqualFold(next.URL.Host, first.Host) || next.URL.User != nil || len(before) > 3 {
			return http.ErrUseLastResponse
		}
		return nil
	}
}

// user stands for a token with the hosts that want a name beside it.
const user = "x-access-token"

// check asks with the token, and if it opens the repository once more without:
// what everybody may read says nothing about a token.
func (g gitHost) check(ctx context.Context, token string) verdict {
	host := g.repo.Host
	status, err := g.refs(ctx, token)
	said := func(s state, words string) verdict { return verdict{s, fmt.Sprintf("%s (HTTP %d).", words, status)} }
	switch {
	case err != nil:
		return failed(ctx, host, g.repo.Hostname(), err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return said(refused, host+" does not take the token for this repository")
	case status == http.StatusNotFound, status == http.StatusGone:
		return said(refused, host+" has no such repository, or does not show it to the token")
	case status >= 300 && status < 400:
		return said(unknown, host+" redirects elsewhere, where the token does not go; name the repository by the address that it has now")
	case status == http.StatusTooManyRequests:
		return said(unknown, host+" has its rate limit reached; ask again later")
	case status != http.StatusOK:
		return said(unknown, host+" answered something that does not say whether it takes the token")
	}
	switch status, err = g.refs(ctx, ""); {
	case err == nil && status == http.StatusOK:
		return verdict{unknown, "Everybody may read this repository, so that it says nothing about the token; name one that not everybody may read."}
	case err == nil && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusGone):
		return verdict{works, "The token opens the repository."}
	}
	return verdict{unknown, "The repository can be read; " + host + " did not say whether that takes the token."}
}

// errNotGit is an answer of 200 that is no list of refs.
var errNotGit = errors.New("not a git server's answer")

// refs asks for the refs, with a token unless it is empty, and returns the
// status; redirects are followed on the same host alone.
func (g gitHost) refs(ctx context.Context, token string) (status int, err error) {
	at := g.repo.JoinPath("info", "refs")
	at.RawQuery = "service=git-upload-pack"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "git/2 outpost") // some hosts answer others with a page
	if token != "" {
		req.SetBasicAuth(user, token)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return 0, err
	}
	res.Body.Close()
	if res.StatusCode == http.StatusOK && res.Header.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
		return 0, errNotGit
	}
	return res.StatusCode, nil
}

// failed is for a host that could not be asked.
func failed(ctx context.Context, host, name string, err error) verdict {
	var not *egress.Refusal
	switch {
	case errors.Is(err, errNotGit):
		return verdict{unknown, host + " answered, and not as a git server does."}
	case errors.As(err, &not):
		return verdict{unknown, "It was not asked: " + egress.Explain(name, err) + "."}
	}
	return unreached(ctx, host)
}
