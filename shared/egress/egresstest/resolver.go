// Package egresstest is a name server for tests of connections: its answers can
// differ from one question to the next, as those of somebody who rebinds a name.
package egresstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
)

// Resolver asks lookup for the addresses of each name, once for IPv4 and once
// for IPv6, each time anew. No address means that there is no such name.
func Resolver(lookup func(name string, v6 bool) []netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asker, server := net.Pipe()
		go serve(server, lookup)
		return asker, nil
	}}
}

// Fixed resolves names by a table.
func Fixed(table map[string]string) *net.Resolver {
	return Resolver(func(name string, v6 bool) []netip.Addr {
		a, err := netip.ParseAddr(table[name])
		if err != nil || a.Is6() != v6 {
			return nil
		}
		return []netip.Addr{a}
	})
}

// typeAAAA is the type of questions for IPv6; the others are for IPv4.
const typeAAAA = 28

// serve answers questions in DNS's form for streams until the asker leaves.
func serve(c net.Conn, lookup func(string, bool) []netip.Addr) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, message); err != nil || len(message) < 12 {
			return
		}
		answer := reply(message, lookup)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// reply answers a message with one question.
func reply(message []byte, lookup func(string, bool) []netip.Addr) []byte {
	var labels []string
	at := 12
	for message[at] != 0 {
		n := int(message[at])
		labels = append(labels, string(message[at+1:at+1+n]))
		at += 1 + n
	}
	kind := binary.BigEndian.Uint16(message[at+1:])
	question := message[12 : at+5]
	addresses := lookup(strings.ToLower(strings.Join(labels, ".")), kind == typeAAAA)
	out := append([]byte{}, message[:2]...)
	out = binary.BigEndian.AppendUint16(out, 0x8180) // an answer, with recursion, without an error
	out = binary.BigEndian.AppendUint16(out, 1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(addresses)))
	out = append(append(out, 0, 0, 0, 0), question...)
	for _, a := range addresses {
		wire := a.AsSlice()
		out = append(out, 0xc0, 12) // the question's name
		out = binary.BigEndian.AppendUint16(out, kind)
		out = append(out, 0, 1, 0, 0, 0, 0) // internet; good for no time
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(wire))), wire...)
	}
	return out
}
