package api

import (
	"net/url"
	"slices"
	"strings"

	"outpost/shared/egress"
	"outpost/shared/problem"
)

// Repositories says which URLs a repository may have.
type Repositories struct {
	Schemes []string
	Reach   egress.Policy
}

// Check wants the URL of a repository that can be cloned and holds no password;
// it returns the URL, or what is wrong with the body's field /repo. An address
// that is not public is refused here where the URL shows it. What a name stands
// for is decided where it is used.
func (p Repositories) Check(repo string) (*url.URL, []problem.Field) {
	wrong := func(words string) (*url.URL, []problem.Field) {
		return nil, []problem.Field{{Field: "/repo", Message: words}}
	}
	u, err := url.Parse(repo)
	switch {
	case err != nil || u.Scheme == "":
		return wrong("must be a URL, as https://host/owner/name")
	case !slices.Contains(p.Schemes, u.Scheme):
		return wrong("must have the scheme " + strings.Join(p.Schemes, " or "))
	case u.User != nil:
		return wrong("must not hold a user or a password: set the secret GIT_TOKEN instead")
	case u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return wrong("must have no query and no fragment")
	case strings.ContainsFunc(repo, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return wrong("must not hold control characters")
	case u.Scheme == "file" && (u.Host != "" || u.Path == ""), u.Scheme != "file" && (u.Hostname() == "" || strings.Trim(u.Path, "/") == ""):
		return wrong("must name a host and a repository")
	case u.Scheme != "file" && p.Reach.CheckHost(u.Hostname()) != nil:
		return wrong("must be on a host with a public address")
	}
	return u, nil
}
