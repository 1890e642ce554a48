package egress

import "net/netip"

// notPublic are the parts of the internet's address space that no public host
// has: the special-purpose registries of IANA, and what clouds put beside them.
var notPublic = prefixes(
	// IPv4
	"0.0.0.0/8",       // this network; 0.0.0.0 reaches the machine itself
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carriers' NAT; Alibaba's metadata is in it
	"127.0.0.0/8",     // loopback
	"168.63.129.16",   // Azure's wire server
	"169.254.0.0/16",  // link-local: metadata of instances, 169.254.170.2 of containers
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments; Oracle's metadata is in it
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // tunnels for multicast
	"192.88.99.0/24",  // relays of 6to4
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast

	// IPv6, within global unicast
	"2001::/23",         // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4: an IPv4 address in disguise
	"2620:4f:8000::/48", // AS112
	"3ffe::/16",         // the experimental network of old
	"3fff::/20",         // documentation
)

// globalUnicast is all of IPv6 that is given out to hosts. What is outside of it
// is not public: loopback, link-local, unique local (AWS's metadata among it),
// multicast, NAT64 and every other form that holds an IPv4 address.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// Public tells whether an address can be a public host's. An IPv4 address in
// IPv6's form is judged as what it is, since the system connects to that.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// prefixes reads prefixes and single addresses.
func prefixes(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}
