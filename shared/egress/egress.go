// Package egress connects to hosts that tenants name. It decides by the address,
// at the moment of the connection: whatever a name resolved to before, wherever
// a redirect leads, an address that is not public is refused by the call that
// would connect to it. So there is nothing between the check and the use.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Policy says where connections may go: to public addresses, and to those of
// Also. The zero value is production's.
type Policy struct {
	// Also are prefixes of addresses that are not public and may be reached all the
	// same: the local target and tests need loopback.
	Also []netip.Prefix
	// Resolver finds addresses of names; nil is the system's.
	Resolver *net.Resolver
}

// dialTimeout is how long one connection may take to come about.
const dialTimeout = 10 * time.Second

// Refusal is a connection that was not made.
type Refusal struct {
	Address netip.Addr // not for tenants: it tells how private names resolve
}

// Error is for logs.
func (r *Refusal) Error() string { return fmt.Sprintf("the address %s is not public", r.Address) }

// Check returns a *Refusal unless connections may go to the address.
func (p Policy) Check(a netip.Addr) error {
	if Public(a) {
		return nil
	}
	for _, also := range p.Also {
		if also.Contains(a.Unmap()) {
			return nil
		}
	}
	return &Refusal{a}
}

// Dialer returns a dialer that connects over TCP and to allowed addresses alone;
// else its error is or wraps a *Refusal. A name that has some addresses that are
// allowed is reached at those.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Resolver: p.Resolver, Control: p.control}
}

// control is called for each address that the dialer is about to connect to.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%s is not TCP", network)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to something that is no address: %w", err)
	}
	return p.Check(to.Addr())
}

// CheckHost returns a *Refusal for a host that is written as an address which is
// not allowed, in any form that some program takes for one, and for localhost. It
// says nothing about other names: what they stand for shows when they are used.
func (p Policy) CheckHost(host string) error {
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return p.Check(loopback)
	}
	a, ok := literal(host)
	if !ok {
		return nil
	}
	return p.Check(a)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Parse reads prefixes as 127.0.0.0/8. The error names what is none.
func Parse(texts []string) (all []netip.Prefix, err error) {
	for _, s := range texts {
		p, wrong := netip.ParsePrefix(s)
		if wrong != nil || p != p.Masked() || p.Addr().Is4In6() {
			err = errors.Join(err, fmt.Errorf("%q is no prefix, as 127.0.0.0/8", s))
			continue
		}
		all = append(all, p)
	}
	return all, err
}

// Explain says in words for tenants why a connection to a host failed, without
// any address that its name has.
func Explain(host string, err error) string {
	var refused *Refusal
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &refused):
		if _, ok := literal(host); ok {
			return host + " is not a public address"
		}
		return "the host " + host + " resolves to an address that is not public"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host " + host + " is not known"
	case errors.As(err, &dns):
		return "the name of the host " + host + " could not be looked up"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the host " + host + " did not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the host " + host + " refused the connection"
	}
	return "the host " + host + " cannot be reached"
}

// literal reads a host that is an address: as IPv6 and IPv4 are written today,
// and as the C library reads IPv4, with fewer parts, in hexadecimal or in octal.
func literal(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	return classic(host)
}
