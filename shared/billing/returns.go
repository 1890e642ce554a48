package billing

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Returns is where a tenant may be led back to from Stripe's pages: the origins
// of an allow-list.
type Returns struct {
	origins  map[string]bool
	loopback bool
}

// Loopback in an allow-list stands for every port of the machine itself.
const Loopback = "loopback"

// MaxReturnURL is the length of a URL that may be led back to, in bytes.
const MaxReturnURL = 1000

// ParseReturns reads an allow-list: origins as https://app.example.com, or
// Loopback, comma separated. An empty one allows nothing.
func ParseReturns(text string) (Returns, error) {
	r := Returns{origins: map[string]bool{}}
	for entry := range strings.SplitSeq(text, ",") {
		switch entry = strings.TrimSpace(entry); {
		case entry == "":
		case entry == Loopback:
			r.loopback = true
		default:
			u, err := parsePlain(entry)
			if err != nil || u.Scheme != "https" || strings.TrimSuffix(entry, "/") != "https://"+u.Host {
				return Returns{}, fmt.Errorf("%q is no origin, as https://app.example.com", entry)
			}
			r.origins[origin(u)] = true
		}
	}
	return r, nil
}

// Allow returns a URL as it may be led back to. The error says in words what is
// wrong with it, to follow its name.
func (r Returns) Allow(text string) (string, error) {
	u, err := parsePlain(text)
	if err != nil {
		return "", err
	}
	if u.Scheme == "https" && r.origins[origin(u)] || r.loopback && isLoopback(u.Hostname()) {
		return u.String(), nil
	}
	return "", errors.New("must begin with an address that this Outpost leads back to; its operator has the list")
}

// parsePlain reads a URL of which a browser makes the same as Go does: of visible
// ASCII without a backslash, and naming nobody before its host.
func parsePlain(text string) (*url.URL, error) {
	if len(text) > MaxReturnURL {
		return nil, fmt.Errorf("must have at most %d characters", MaxReturnURL)
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }
	u, err := url.Parse(text)
	if err != nil || strings.ContainsFunc(text, odd) || (u.Scheme != "https" && u.Scheme != "http") || u.Opaque != "" || u.Host == "" || u.User != nil {
		return nil, errors.New("must be an http or https URL with a host, and without a user")
	}
	return u, nil
}

// origin is scheme, host and port, the port of https left out.
func origin(u *url.URL) string {
	return u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
