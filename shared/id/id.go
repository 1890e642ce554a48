// Package id makes and reads Outpost's identifiers: a prefix that names the
// kind and a ULID (https://github.com/ulid/spec), so that ids sort by the time
// they were made. A run's id is its task's ULID and the run's number, so a run
// is found without an index: run_<ulid>_<nn>.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Kind is the prefix of an id.
type Kind string

// The kinds of id.
const (
	Task    Kind = "tsk"
	Run     Kind = "run"
	Tenant  Kind = "ten"
	Key     Kind = "key"
	Event   Kind = "evt"
	Audit   Kind = "aud"
	Ledger  Kind = "led"
	Request Kind = "req"
)

// MaxRuns is the largest number of a run within its task; numbers start at 1
// and are written with two digits.
const MaxRuns = 99

// New returns a fresh id of a kind, made at now.
func New(k Kind, now time.Time) string {
	return string(k) + "_" + NewULID(now)
}

// NewULID returns a fresh ULID made at now.
func NewULID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
}

// Time returns when an id was made, to the millisecond; the zero time for what is
// none.
func Time(s string) time.Time {
	_, rest, _ := strings.Cut(s, "_")
	u, err := ulid.ParseStrict(rest)
	if err != nil {
		return time.Time{}
	}
	return u.Timestamp().UTC()
}

// FirstULID returns the smallest ULID that is made at a time or later, by the
// millisecond; for times before 1970 it is the smallest of all.
func FirstULID(at time.Time) string {
	var u ulid.ULID
	if ms := at.UnixMilli(); ms > 0 {
		must(u.SetTime(min(uint64(ms), ulid.MaxTime())))
	}
	return u.String()
}

// PreviousULID returns the largest ULID before one; empty where there is none.
func PreviousULID(u string) string {
	v, err := ulid.ParseStrict(u)
	if err != nil {
		return ""
	}
	for i := len(v) - 1; i >= 0; i-- {
		v[i]--
		if v[i] != 0xff { // nothing to borrow
			return v.String()
		}
	}
	return ""
}

// Derived returns the id of a kind that follows from a time, to the millisecond,
// and a name: the same for the same, so that what is written under it is one row
// whoever writes it.
func Derived(k Kind, at time.Time, name string) string {
	var u ulid.ULID
	sum := sha256.Sum256([]byte(name))
	must(u.SetTime(ulid.Timestamp(at)))
	must(u.SetEntropy(sum[:10]))
	return string(k) + "_" + u.String()
}

// must holds where the time is before the year 10889.
func must(err error) {
	if err != nil {
		panic("id: " + err.Error())
	}
}

// ULID returns the ULID part of an id of kind k, or an error that names the
// kind when s is not one. Only the canonical upper-case form is accepted.
func ULID(k Kind, s string) (string, error) {
	rest, ok := strings.CutPrefix(s, string(k)+"_")
	if !ok || !canonical(rest) {
		return "", fmt.Errorf("not a %s id", k)
	}
	return rest, nil
}

// ForRun returns the id of run number n of a task.
func ForRun(taskID string, n int) string {
	u := strings.TrimPrefix(taskID, string(Task)+"_")
	return fmt.Sprintf("%s_%s_%02d", Run, u, n)
}

// SplitRun returns the task id and the number that a run id names.
func SplitRun(s string) (taskID string, n int, err error) {
	rest, ok := strings.CutPrefix(s, string(Run)+"_")
	if !ok || len(rest) != ulid.EncodedSize+3 || rest[ulid.EncodedSize] != '_' || !canonical(rest[:ulid.EncodedSize]) {
		return "", 0, fmt.Errorf("not a run id")
	}
	digits := rest[ulid.EncodedSize+1:]
	n, err = strconv.Atoi(digits)
	if err != nil || n < 1 || n > MaxRuns || fmt.Sprintf("%02d", n) != digits {
		return "", 0, fmt.Errorf("not a run id")
	}
	return string(Task) + "_" + rest[:ulid.EncodedSize], n, nil
}

func canonical(s string) bool {
	u, err := ulid.ParseStrict(s)
	return err == nil && u.String() == s
}
