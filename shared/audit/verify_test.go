package audit_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/id"
)

const ten = "ten_01KAR5G5M00000000000000001"

// stored is what lies in the bucket of one day.
type stored struct {
	audit.Link
	manifest, file []byte
}

// chain is a tenant's exports of five days, one of which nothing happened on.
func chain(t *testing.T) []stored {
	t.Helper()
	var all []stored
	var before audit.Link
	for _, d := range []int{20, 21, 23, 24, 25} {
		at := time.Date(2026, 11, d, 9, 0, 0, 0, time.UTC)
		f := audit.NewFile(ten)
		for n := range d {
			at = at.Add(time.Minute)
			must(t, f.Add(audit.Event{ID: id.New(id.Audit, at), At: at, Action: "task.create", Actor: "key_1", Count: 1, Detail: fmt.Sprint(n)}))
		}
		file, err := f.Close()
		must(t, err)
		manifest, err := audit.After(before, ten, audit.Day(at), file, f.Events()).Encode()
		must(t, err)
		before = audit.Link{Sequence: before.Sequence + 1, Ref: audit.Ref{Day: audit.Day(at), SHA256: audit.Hash(manifest)}}
		all = append(all, stored{before, manifest, file})
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verify holds what is stored against the head.
func verify(t *testing.T, all []stored, head audit.Link, pinned string) []audit.Fault {
	t.Helper()
	var found []audit.Found
	for _, s := range all {
		f := audit.Found{Link: s.Link, Manifest: s.manifest}
		if s.file != nil {
			d, err := audit.DigestOf(ten, bytes.NewReader(s.file))
			must(t, err)
			f.File = &d
		}
		found = append(found, f)
	}
	return audit.Verify(ten, &head, found, pinned)
}

func TestAWholeChainHasNoFault(t *testing.T) {
	all := chain(t)
	head := all[4].Link
	if f := verify(t, all, head, all[1].SHA256); len(f) > 0 {
		t.Errorf("faults: %+v", f)
	}
	if f := audit.Verify(ten, nil, nil, ""); len(f) > 0 {
		t.Errorf("faults of a tenant without exports: %+v", f)
	}
}

// One flipped bit anywhere is one fault, of the very day.
func TestAFlippedBitAnywhereIsFound(t *testing.T) {
	all := chain(t)
	head := all[4].Link
	for i, s := range all {
		for _, part := range []*[]byte{&all[i].manifest, &all[i].file} {
			whole := *part
			for n := range whole {
				*part = slices.Clone(whole)
				(*part)[n] ^= 1 << (n % 8)
				faults := verify(t, all, head, "")
				if len(faults) == 0 {
					t.Fatalf("a flipped bit at %d of the export of %s is not found", n, s.Day)
				}
				for _, f := range faults {
					if f.Day != s.Day {
						t.Fatalf("a flipped bit at %d of %s is told of %s: %s", n, s.Day, f.Day, f.What)
					}
				}
			}
			*part = whole
		}
	}
}

func TestEachWayToTamperIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(all []stored, head *audit.Link) []stored
		day    string
		what   string
	}{
		"a file is removed":     {func(all []stored, _ *audit.Link) []stored { all[2].file = nil; return all }, "2026-11-23", "the file is missing"},
		"a manifest is removed": {func(all []stored, _ *audit.Link) []stored { all[2].manifest = nil; return all }, "2026-11-23", "the manifest is missing"},
		"a file is cut": {func(all []stored, _ *audit.Link) []stored {
			all[1].file = all[1].file[:len(all[1].file)/2]
			return all
		}, "2026-11-21", "the file was changed"},
		"something is appended": {func(all []stored, _ *audit.Link) []stored {
			all[1].file = append(all[1].file, "more"...)
			return all
		}, "2026-11-21", "the file was changed"},
		"two files are swapped": {func(all []stored, _ *audit.Link) []stored {
			all[0].file, all[3].file = all[3].file, all[0].file
			return all
		}, "2026-11-20", "the file is that of 2026-11-24"},
		"two manifests are swapped": {func(all []stored, _ *audit.Link) []stored {
			all[0].manifest, all[3].manifest = all[3].manifest, all[0].manifest
			return all
		}, "2026-11-20", "the manifest was changed"},
		"a file and its manifest are made anew": {func(all []stored, _ *audit.Link) []stored {
			return forged(all, 1)
		}, "2026-11-21", "the manifest was changed"},
		"a day is taken out, its link too": {func(all []stored, _ *audit.Link) []stored { return slices.Delete(all, 2, 3) }, "2026-11-24", "exports are missing before it"},
		"links are reordered": {func(all []stored, _ *audit.Link) []stored {
			all[1], all[2] = all[2], all[1]
			return all
		}, "2026-11-21", "it is out of order"},
		"the end is cut off": {func(all []stored, _ *audit.Link) []stored { return all[:3] }, "", "exports are missing at the end"},
		"the beginning is cut off": {func(all []stored, _ *audit.Link) []stored { return all[2:] }, "2026-11-23",
			"exports are missing before it"},
		"all is gone": {func([]stored, *audit.Link) []stored { return nil }, "", "exports are missing at the end"},
		"a link of the table is changed with its manifest": {func(all []stored, _ *audit.Link) []stored {
			all = forged(all, 1)
			all[1].SHA256 = audit.Hash(all[1].manifest)
			return all
		}, "2026-11-23", "the chain is broken"},
		"the whole chain is made anew, table and all": {func(all []stored, head *audit.Link) []stored {
			for i := range all {
				all = forged(all, i)
				all[i].SHA256 = audit.Hash(all[i].manifest)
			}
			*head = all[len(all)-1].Link
			return all
		}, "", "no manifest has the noted hash"},
	} {
		t.Run(name, func(t *testing.T) {
			all := chain(t)
			head, noted := all[4].Link, all[3].SHA256
			all = c.tamper(all, &head)
			pinned := ""
			if strings.Contains(c.what, "noted") {
				if f := verify(t, all, head, ""); len(f) > 0 {
					t.Errorf("without the noted hash: %+v", f)
				}
				pinned = noted
			}
			faults := verify(t, all, head, pinned)
			if !slices.ContainsFunc(faults, func(f audit.Fault) bool { return f.Day == c.day && strings.Contains(f.What, c.what) }) {
				t.Errorf("found %+v", faults)
			}
		})
	}
}

// forged replaces the export of a day by another one that fits to the one before.
func forged(all []stored, i int) []stored {
	f := audit.NewFile(ten)
	_ = f.Add(audit.Event{ID: "aud_1", Action: "nothing.happened"})
	file, _ := f.Close()
	var before audit.Link
	if i > 0 {
		before = all[i-1].Link
	}
	manifest, _ := audit.After(before, ten, all[i].Day, file, 1).Encode()
	all[i].file, all[i].manifest = file, manifest
	return all
}

func TestAFileOfAnotherTenantIsNotTaken(t *testing.T) {
	f := audit.NewFile("ten_01KAR5G5M00000000000000002")
	must(t, f.Add(audit.Event{ID: "aud_1"}))
	file, err := f.Close()
	must(t, err)
	manifest, err := audit.After(audit.Link{}, ten, "2026-11-20", file, 1).Encode()
	must(t, err)
	l := audit.Link{Sequence: 1, Ref: audit.Ref{Day: "2026-11-20", SHA256: audit.Hash(manifest)}}
	faults := verify(t, []stored{{l, manifest, file}}, l, "")
	if len(faults) != 1 || !strings.Contains(faults[0].What, "is of the tenant") {
		t.Errorf("found %+v", faults)
	}
}

// What follows the same events is the same file, whoever writes it and when.
func TestTheSameEventsGiveTheSameBytes(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	e := audit.Event{ID: id.New(id.Audit, at), At: at, Action: "a.b", Changes: []audit.Change{{"x", "1", "2"}}}
	var first []byte
	for range 3 {
		f := audit.NewFile(ten)
		must(t, f.Add(e))
		file, err := f.Close()
		must(t, err)
		if first == nil {
			first = file
		}
		if !bytes.Equal(first, file) {
			t.Error("another file")
		}
	}
}
