package egress

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// classic reads an IPv4 address as inet_aton does: up to four numbers, decimal,
// octal or hexadecimal, the last of which fills the bytes that are left. So
// 127.1, 0x7f000001, 017700000001 and 2130706433 are 127.0.0.1.
func classic(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var whole uint64
	for i, part := range parts {
		n, ok := number(part)
		last := i == len(parts)-1
		most := uint64(1) << 8
		if last {
			most = 1 << (8 * (5 - len(parts)))
		}
		if !ok || n >= most {
			return netip.Addr{}, false
		}
		if last {
			whole |= n
		} else {
			whole |= n << (8 * (3 - i))
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(whole))
	return netip.AddrFrom4(b), true
}

// number reads one part: with 0x in hexadecimal, with a 0 before it in octal.
func number(s string) (uint64, bool) {
	digits, base := s, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		digits, base = hex, 16
	} else if len(s) > 1 && s[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return n, err == nil
}
