package stripe

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form is a form-encoded request as the tree that its names spell:
// items[0][price]=p is items → 0 → price. It remembers what was read, so that a
// parameter nobody reads is refused, as Stripe does.
type form struct {
	name  string // as the caller wrote it
	value string
	set   bool // has a value of its own
	read  bool
	parts []*form
	keys  []string // of parts, in order
	bad   **Error  // the first malformed value, shared by the whole tree
}

// parseForm reads pairs of query and body, in their order.
func parseForm(encoded ...string) (*form, error) {
	root := &form{bad: new(*Error), read: true}
	for _, part := range encoded {
		for pair := range strings.SplitSeq(part, "&") {
			if pair == "" {
				continue
			}
			k, v, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(k)
			value, err2 := url.QueryUnescape(v)
			if err != nil || err2 != nil {
				return nil, invalid("", "Invalid form encoding.")
			}
			f := root
			for i, key := range strings.Split(strings.ReplaceAll(name, "]", ""), "[") {
				if key == "" && i > 0 {
					key = strconv.Itoa(len(f.parts))
				}
				f = f.child(key)
			}
			f.name, f.value, f.set = name, value, true
		}
	}
	return root, nil
}

func (f *form) child(key string) *form {
	if i := slices.Index(f.keys, key); i >= 0 {
		return f.parts[i]
	}
	name := key
	if f.name != "" {
		name = f.name + "[" + key + "]"
	}
	c := &form{name: name, bad: f.bad}
	f.keys, f.parts = append(f.keys, key), append(f.parts, c)
	return c
}

// at returns the part of a name, read; an empty one when it is not there.
func (f *form) at(key string) *form {
	i := slices.Index(f.keys, key)
	if i < 0 {
		return &form{bad: f.bad}
	}
	f.parts[i].read = true
	return f.parts[i]
}

func (f *form) has(key string) bool { return slices.Contains(f.keys, key) }

func (f *form) text(key string) string { return f.at(key).value }

// optional is nil for a parameter that is absent or empty.
func (f *form) optional(key string) *string {
	if v := f.text(key); v != "" {
		return &v
	}
	return nil
}

func (f *form) need(key string) string {
	v := f.text(key)
	if v == "" {
		f.fail(&Error{Code: "parameter_missing", Param: key, Message: "Missing required param: " + key + "."})
	}
	return v
}

func (f *form) whole(key string, absent int64) int64 {
	v := f.at(key)
	if !v.set {
		return absent
	}
	n, err := strconv.ParseInt(v.value, 10, 64)
	if err != nil {
		f.fail(&Error{Code: "parameter_invalid_integer", Param: v.name, Message: "Invalid integer: " + v.value})
	}
	return n
}

func (f *form) flag(key string, absent bool) bool {
	v := f.at(key)
	if !v.set {
		return absent
	}
	if v.value != "true" && v.value != "false" {
		f.fail(&Error{Param: v.name, Message: "Invalid boolean: " + v.value})
	}
	return v.value == "true"
}

// oneOf is a parameter with a fixed set of values; the first is the default.
func (f *form) oneOf(key string, values ...string) string {
	v := f.at(key)
	if v.set && !slices.Contains(values, v.value) {
		f.fail(&Error{Param: v.name, Message: fmt.Sprintf("Invalid %s: must be one of %s", v.name, strings.Join(values, ", "))})
	}
	if !v.set {
		return values[0]
	}
	return v.value
}

// list are the members of an array.
func (f *form) list(key string) []*form {
	members := f.at(key).parts
	for _, m := range members {
		m.read = true
	}
	return members
}

func (f *form) texts(key string) []string {
	out := []string{}
	for _, m := range f.list(key) {
		out = append(out, m.value)
	}
	return out
}

// merge applies a metadata parameter: an empty value takes a key away, an empty
// parameter all of them.
func (f *form) merge(key string, old map[string]string) map[string]string {
	out := map[string]string{}
	m := f.at(key)
	if !m.set {
		for k, v := range old {
			out[k] = v
		}
	}
	for i, p := range m.parts {
		p.read = true
		if p.value == "" {
			delete(out, m.keys[i])
		} else {
			out[m.keys[i]] = p.value
		}
	}
	return out
}

// ignore accepts parameters that change nothing here.
func (f *form) ignore(keys ...string) {
	for _, key := range keys {
		f.at(key).readAll()
	}
}

func (f *form) readAll() {
	f.read = true
	for _, p := range f.parts {
		p.readAll()
	}
}

func (f *form) fail(e *Error) {
	if *f.bad == nil {
		e.Status, e.Type = 400, "invalid_request_error"
		*f.bad = e
	}
}

// check ends the reading: it fails for a malformed value and for a parameter
// that nobody read. Nothing is changed before it.
func (f *form) check() error {
	if *f.bad != nil {
		return *f.bad
	}
	if u := f.unread(); u != nil {
		return &Error{Status: 400, Type: "invalid_request_error", Code: "parameter_unknown", Param: u.name, Message: "Received unknown parameter: " + u.name}
	}
	return nil
}

func (f *form) unread() *form {
	if !f.read {
		return f
	}
	for _, p := range f.parts {
		if u := p.unread(); u != nil {
			return u
		}
	}
	return nil
}
