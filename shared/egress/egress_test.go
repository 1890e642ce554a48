package egress_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"outpost/shared/egress"
	"outpost/shared/egress/egresstest"
)

var addresses = []struct {
	why, address string
	public       bool
}{
	{"a host", "140.82.121.3", true},
	{"a name server", "8.8.8.8", true},
	{"the last before private", "9.255.255.255", true},
	{"the first after private", "11.0.0.0", true},
	{"the last before carriers' NAT", "100.63.255.255", true},
	{"the first after carriers' NAT", "100.128.0.0", true},
	{"the last before 172.16", "172.15.255.255", true},
	{"the first after 172.31", "172.32.0.0", true},
	{"the last before multicast", "223.255.255.255", true},
	{"a host over IPv6", "2606:50c0:8000::153", true},
	{"a public host in IPv6's form", "::ffff:140.82.121.3", true},

	{"no address", "", false},
	{"unspecified", "0.0.0.0", false},
	{"this network", "0.1.2.3", false},
	{"loopback", "127.0.0.1", false},
	{"loopback elsewhere", "127.200.3.4", false},
	{"private 10", "10.0.0.1", false},
	{"private 172", "172.16.0.1", false},
	{"private 172, the last", "172.31.255.255", false},
	{"private 192", "192.168.1.1", false},
	{"carriers' NAT", "100.64.0.1", false},
	{"Alibaba's metadata", "100.100.100.200", false},
	{"Azure's wire server", "168.63.129.16", false},
	{"Oracle's metadata", "192.0.0.192", false},
	{"an instance's metadata", "169.254.169.254", false},
	{"a container's metadata", "169.254.170.2", false},
	{"a pod's identity", "169.254.170.23", false},
	{"documentation 1", "192.0.2.1", false},
	{"documentation 2", "198.51.100.1", false},
	{"documentation 3", "203.0.113.1", false},
	{"benchmarks", "198.18.0.1", false},
	{"benchmarks, the last", "198.19.255.255", false},
	{"a relay of 6to4", "192.88.99.1", false},
	{"multicast", "224.0.0.1", false},
	{"reserved", "240.0.0.1", false},
	{"broadcast", "255.255.255.255", false},

	{"unspecified in IPv6", "::", false},
	{"loopback in IPv6", "::1", false},
	{"link-local in IPv6", "fe80::1", false},
	{"link-local with a zone", "fe80::1%eth0", false},
	{"a public address with a zone", "2606:50c0:8000::153%eth0", false},
	{"site-local of old", "fec0::1", false},
	{"unique local", "fd12:3456::1", false},
	{"unique local, the other half", "fc00::1", false},
	{"an instance's metadata in IPv6", "fd00:ec2::254", false},
	{"a pod's identity in IPv6", "fd00:ec2::23", false},
	{"multicast in IPv6", "ff02::1", false},
	{"loopback in IPv6's form", "::ffff:127.0.0.1", false},
	{"metadata in IPv6's form", "::ffff:169.254.169.254", false},
	{"metadata in hexadecimal", "::ffff:a9fe:a9fe", false},
	{"an IPv4-compatible address", "::127.0.0.1", false},
	{"a translated address", "::ffff:0:127.0.0.1", false},
	{"NAT64 of metadata", "64:ff9b::a9fe:a9fe", false},
	{"NAT64 of a public host", "64:ff9b::808:808", false},
	{"local NAT64", "64:ff9b:1::a9fe:a9fe", false},
	{"6to4 of metadata", "2002:a9fe:a9fe::1", false},
	{"Teredo", "2001:0:a9fe:a9fe::1", false},
	{"benchmarks in IPv6", "2001:2::1", false},
	{"ORCHID", "2001:20::1", false},
	{"documentation in IPv6", "2001:db8::1", false},
	{"documentation in IPv6, the newer", "3fff::1", false},
	{"segment routing", "5f00::1", false},
	{"discard", "100::1", false},
	{"given to nobody", "4000::1", false},
}

func TestWhatIsPublic(t *testing.T) {
	for _, c := range addresses {
		a, _ := netip.ParseAddr(c.address)
		if got := egress.Public(a); got != c.public {
			t.Errorf("%s, %s: public is %v", c.why, c.address, got)
		}
		if err := (egress.Policy{}).Check(a); (err == nil) != c.public {
			t.Errorf("%s, %s: %v", c.why, c.address, err)
		}
	}
}

// forms are the ways in which an IPv6 address can hold an IPv4 one.
var forms = []struct{ why, prefix, suffix string }{
	{"mapped", "00000000000000000000ffff", ""},
	{"compatible", "000000000000000000000000", ""},
	{"translated", "0000000000000000ffff0000", ""},
	{"NAT64", "0064ff9b0000000000000000", ""},
	{"6to4", "2002", "00000000000000000000"},
	{"Teredo's server", "20010000", "0000000000000000"},
}

func holding(v4 netip.Addr, prefix, suffix string) netip.Addr {
	var b [16]byte
	hex := prefix + strings.ToLower(hexOf(v4)) + suffix
	for i := range b {
		b[i] = nibble(hex[2*i])<<4 | nibble(hex[2*i+1])
	}
	return netip.AddrFrom16(b)
}

func hexOf(a netip.Addr) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, b := range a.AsSlice() {
		s = append(s, digits[b>>4], digits[b&15])
	}
	return string(s)
}

func nibble(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c)) }

func v4(t *rapid.T) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], rapid.Uint32().Draw(t, "address"))
	return netip.AddrFrom4(b)
}

// Whatever IPv4 address is not public is not public in any form of IPv6, and one
// that is public is so as itself and mapped, and in no other form.
func TestNoFormOfAnAddressHidesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := v4(t)
		if rapid.Bool().Draw(t, "one that is not public") {
			a = inside(t, rapid.SampledFrom([]string{"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/8", "224.0.0.0/3"}).Draw(t, "prefix"))
			if egress.Public(a) {
				t.Fatalf("%s is public", a)
			}
		}
		for _, f := range forms {
			in := holding(a, f.prefix, f.suffix)
			want := f.why == "mapped" && egress.Public(a)
			if egress.Public(in) != want {
				t.Fatalf("%s of %s, %s: public is %v", f.why, a, in, !want)
			}
		}
	})
}

// Every part that the standard library knows as special is not public, and a
// private address is allowed by a prefix that it is in, and by no other.
func TestOnlyWhatIsNamedIsAllowedBeside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := v4(t)
		if rapid.Bool().Draw(t, "IPv6") {
			a = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")))
		}
		if special := a.Unmap(); special.IsPrivate() || special.IsLoopback() || special.IsLinkLocalUnicast() || special.IsMulticast() || special.IsUnspecified() {
			if egress.Public(a) {
				t.Fatalf("%s is public", a)
			}
		}
		also := netip.MustParsePrefix(rapid.SampledFrom([]string{"127.0.0.0/8", "10.0.0.0/8", "::1/128", "fd00::/8"}).Draw(t, "also"))
		err := egress.Policy{Also: []netip.Prefix{also}}.Check(a)
		if allowed := egress.Public(a) || also.Contains(a.Unmap()); (err == nil) != allowed {
			t.Fatalf("%s beside %s: %v", a, also, err)
		}
	})
}

func inside(t *rapid.T, prefix string) netip.Addr {
	p := netip.MustParsePrefix(prefix)
	b := p.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | rapid.Uint32().Draw(t, "host")&(1<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// listen is a server on loopback that counts who came.
func listen(t *testing.T) (port string, came *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	came = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, came
}

func TestConnectionsAreRefusedByTheirAddress(t *testing.T) {
	port, came := listen(t)
	names := egresstest.Fixed(map[string]string{"inner.example.org": "127.0.0.1", "meta.example.org": "169.254.169.254", "mapped.example.org": "::ffff:127.0.0.1", "ula.example.org": "fd00:ec2::254"})
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "inner.example.org", "INNER.example.org.", "meta.example.org", "mapped.example.org", "ula.example.org"} {
		_, err := egress.Policy{Resolver: names}.Dialer().DialContext(t.Context(), "tcp", host+":"+port)
		var refused *egress.Refusal
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if came.Load() != 0 {
		t.Errorf("%d connections were made", came.Load())
	}
	allowed := egress.Policy{Resolver: names, Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, host := range []string{"127.0.0.1", "inner.example.org", "mapped.example.org"} {
		c, err := allowed.Dialer().DialContext(t.Context(), "tcp", host+":"+port)
		if err != nil {
			t.Errorf("%s, which is allowed: %v", host, err)
			continue
		}
		c.Close()
	}
	if _, err := allowed.Dialer().DialContext(t.Context(), "udp", "127.0.0.1:"+port); err == nil {
		t.Error("UDP was let through")
	}
}

// A name that is public when it is looked at and private when it is used is
// refused when it is used; one with both kinds of address is never reached at
// the private one.
func TestANameThatIsReboundIsRefusedWhenItIsUsed(t *testing.T) {
	port, came := listen(t)
	asked := 0
	names := egresstest.Resolver(func(_ string, v6 bool) []netip.Addr {
		if v6 {
			return nil
		}
		if asked++; asked == 1 {
			return []netip.Addr{netip.MustParseAddr("140.82.121.3")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	looked, err := names.LookupNetIP(t.Context(), "ip", "rebound.example.org")
	if err != nil || len(looked) != 1 || !egress.Public(looked[0]) {
		t.Fatalf("%v %v", looked, err)
	}
	var refused *egress.Refusal
	if _, err := (egress.Policy{Resolver: names}).Dialer().DialContext(t.Context(), "tcp", "rebound.example.org:"+port); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}

	both := egresstest.Resolver(func(_ string, v6 bool) []netip.Addr {
		if v6 {
			return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("fd00:ec2::254")}
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")}
	})
	only := egress.Policy{Resolver: both, Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	c, err := only.Dialer().DialContext(t.Context(), "tcp", "both.example.org:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "127.0.0.1:"+port {
		t.Errorf("connected to %s", got)
	}
	if came.Load() > 1 {
		t.Errorf("%d connections were made", came.Load())
	}
}

func TestHostsThatAreAddressesAreKnownInEveryForm(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "017700000001", "0177.0.0.01", "0", "0x0",
		"[::1]", "::1", "[::ffff:7f00:1]", "fe80::1%eth0", "169.254.169.254", "2852039166", "10.1", "[64:ff9b::10.0.0.1]", "localhost", "LocalHost.", "a.localhost"} {
		if err := (egress.Policy{}).CheckHost(host); err == nil {
			t.Errorf("%s is let through", host)
		}
	}
	for _, host := range []string{"github.com", "localhost.example.org", "140.82.121.3", "0x8c.82.121.3", "[2606:50c0:8000::153]", "10.example.org", "1.2.3.4.5", "256.1.1.1", "0xg", "08.1.1.1", "1.2.3.", "", "...", "99999999999", "-1", "+1"} {
		if err := (egress.Policy{}).CheckHost(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := (egress.Policy{Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).CheckHost("127.1"); err != nil {
		t.Error(err)
	}
	rapid.Check(t, func(t *rapid.T) { // an address in one number is the address
		a := v4(t)
		b := a.As4()
		form := rapid.SampledFrom([]string{"%d", "0x%x", "0X%08X", "0%o"}).Draw(t, "form")
		host := fmt.Sprintf(form, binary.BigEndian.Uint32(b[:]))
		if err := (egress.Policy{}).CheckHost(host); (err == nil) != egress.Public(a) {
			t.Fatalf("%s as %s: %v", a, host, err)
		}
	})
}

func TestPrefixesAreReadStrictly(t *testing.T) {
	got, err := egress.Parse([]string{"127.0.0.0/8", "::1/128"})
	if err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	for _, wrong := range []string{"127.0.0.1", "127.0.0.1/8", "localhost", "10.0.0.0/33", "", "::ffff:10.0.0.0/104", "10.0.0.0/8 "} {
		if _, err := egress.Parse([]string{"127.0.0.0/8", wrong}); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestTheExplanationNamesTheHostAndNotItsAddress(t *testing.T) {
	names := egresstest.Fixed(map[string]string{"inner.example.org": "10.1.2.3", "dead.example.org": "127.0.0.1"})
	policy := egress.Policy{Resolver: names, Also: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	for host, want := range map[string]string{
		"inner.example.org": "the host inner.example.org resolves to an address that is not public",
		"10.1.2.3":          "10.1.2.3 is not a public address",
		"none.example.org":  "the host none.example.org is not known",
		"dead.example.org":  "the host dead.example.org refused the connection",
	} {
		_, err := policy.Dialer().DialContext(t.Context(), "tcp", host+":"+port)
		if got := egress.Explain(host, err); got != want {
			t.Errorf("%s: %q, of %v", host, got, err)
		}
	}
	if got := egress.Explain("h", errors.New("read tcp 10.0.0.1:5: something")); got != "the host h cannot be reached" {
		t.Error(got)
	}
}
