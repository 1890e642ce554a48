package audit

import "fmt"

// Found is an export as it was found: the link that the table keeps, and what
// lies in the bucket.
type Found struct {
	Link
	Manifest []byte  // nil: missing
	File     *Digest // nil: missing
}

// Fault is one thing that is wrong with a tenant's exports.
type Fault struct {
	Day  string `json:"day"` // empty: of the whole chain
	What string `json:"what"`
}

// Verify holds a tenant's exports against the chain, the oldest first, and
// against the head that the table keeps. It returns all that is wrong. pinned,
// unless it is empty, is the hash of a manifest that was noted elsewhere: who
// rewrote the table and the bucket alike is found by it.
func Verify(tenant string, head *Link, found []Found, pinned string) []Fault {
	v := verifier{tenant: tenant, days: map[string]string{}}
	for _, f := range found {
		if m, err := ReadManifest(f.Manifest); err == nil {
			v.days[m.SHA256] = m.Day
		}
		v.pinned = v.pinned || f.SHA256 == pinned
	}
	var before Link
	for _, f := range found {
		v.link(before, f)
		before = f.Link
	}
	v.head(head, found)
	if pinned != "" && !v.pinned {
		v.fault("", "no manifest has the noted hash %s: the chain was rewritten", pinned)
	}
	return v.faults
}

type verifier struct {
	tenant string
	days   map[string]string // by the hash of their files
	pinned bool
	faults []Fault
}

func (v *verifier) fault(day, format string, args ...any) {
	v.faults = append(v.faults, Fault{day, fmt.Sprintf(format, args...)})
}

// head checks that the chain reaches its head. It may go on behind it: an export
// that ended while somebody read the list.
func (v *verifier) head(head *Link, found []Found) {
	if head == nil {
		if len(found) > 0 {
			v.fault("", "the table keeps no head of the chain")
		}
		return
	}
	last := 0
	for _, f := range found {
		if f.Link == *head {
			return
		}
		last = max(last, f.Sequence)
	}
	if last < head.Sequence {
		v.fault("", "the chain ends with number %d, the head is number %d of %s: exports are missing at the end", last, head.Sequence, head.Day)
		return
	}
	v.fault("", "the head, number %d of %s with the hash %s, is none of the chain", head.Sequence, head.Day, head.SHA256)
}

// link checks an export and that it follows the one before.
func (v *verifier) link(before Link, f Found) {
	switch {
	case f.Sequence > before.Sequence+1:
		v.fault(f.Day, "exports are missing before it: it is number %d and follows number %d", f.Sequence, before.Sequence)
	case f.Sequence <= before.Sequence, f.Day <= before.Day:
		v.fault(f.Day, "it is out of order: number %d follows number %d of %s", f.Sequence, before.Sequence, before.Day)
	}
	if f.File == nil {
		v.fault(f.Day, "the file is missing")
	}
	switch {
	case f.Manifest == nil:
		v.fault(f.Day, "the manifest is missing: nothing tells whether the file is whole")
		return
	case Hash(f.Manifest) != f.SHA256:
		v.fault(f.Day, "the manifest was changed: its hash is %s, the table says %s; nothing tells whether the file is whole", Hash(f.Manifest), f.SHA256)
		return
	}
	m, err := ReadManifest(f.Manifest)
	if err != nil {
		v.fault(f.Day, "the manifest cannot be read: %v", err)
		return
	}
	if m.Tenant != v.tenant || m.Day != f.Day || m.Sequence != f.Sequence {
		v.fault(f.Day, "the manifest is another's: number %d, %s, of %s", m.Sequence, m.Day, m.Tenant)
	}
	v.previous(before, f, m)
	if f.File != nil {
		v.file(*f.File, f.Day, m)
	}
}

// previous checks the manifest's word of the one before. What the table says of
// that one counts, so that one changed manifest is one fault.
func (v *verifier) previous(before Link, f Found, m Manifest) {
	switch {
	case f.Sequence != before.Sequence+1:
	case before.Sequence == 0 && m.Previous != nil:
		v.fault(f.Day, "the chain is broken: the first manifest names one before it, of %s", m.Previous.Day)
	case before.Sequence > 0 && m.Previous == nil:
		v.fault(f.Day, "the chain is broken: the manifest names none before it, which is that of %s", before.Day)
	case before.Sequence > 0 && *m.Previous != before.Ref:
		v.fault(f.Day, "the chain is broken: the manifest follows %s of %s, the one before is %s of %s", m.Previous.SHA256, m.Previous.Day, before.SHA256, before.Day)
	}
}

func (v *verifier) file(d Digest, day string, m Manifest) {
	if d.SHA256 != m.SHA256 {
		if other := v.days[d.SHA256]; other != "" {
			v.fault(day, "the file is that of %s", other)
			return
		}
		v.fault(day, "the file was changed: %d bytes with the hash %s, the manifest says %d with %s", d.Bytes, d.SHA256, m.Bytes, m.SHA256)
		return
	}
	if d.Broken != "" {
		v.fault(day, "the file cannot be read: %s", d.Broken)
	} else if d.Events != m.Events || d.Bytes != int64(m.Bytes) {
		v.fault(day, "the file has %d events in %d bytes, the manifest says %d in %d", d.Events, d.Bytes, m.Events, m.Bytes)
	}
}
