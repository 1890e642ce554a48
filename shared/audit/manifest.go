package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"outpost/shared/id"
)

// ManifestVersion is that of the manifests written today.
const ManifestVersion = 1

// Manifest says what the export of a tenant's day holds, and which one was
// before it.
type Manifest struct {
	Version  int    `json:"version"`
	Tenant   string `json:"tenant"`
	Sequence int    `json:"sequence"` // 1 for the tenant's first export
	Day      string `json:"day"`      // UTC, 2026-11-23
	Events   int    `json:"events"`
	Bytes    int    `json:"bytes"`  // of the file
	SHA256   string `json:"sha256"` // of the file, in hex
	Previous *Ref   `json:"previous"`
}

// Ref names an export by the hash of its manifest.
type Ref struct {
	Day    string `json:"day"`
	SHA256 string `json:"sha256"` // of the manifest's bytes, in hex
}

// Link is an element of a tenant's chain as the table keeps it. The newest is
// the head. One without a hash was begun and has not ended.
type Link struct {
	Sequence int
	Ref
}

// After returns the manifest of a file that follows an export in the chain; the
// zero Link for the first.
func After(previous Link, tenant, day string, file []byte, events int) Manifest {
	m := Manifest{Version: ManifestVersion, Tenant: tenant, Sequence: previous.Sequence + 1, Day: day, Events: events, Bytes: len(file), SHA256: Hash(file)}
	if previous.Sequence > 0 {
		m.Previous = &previous.Ref
	}
	return m
}

// Encode returns the manifest's bytes, always the same for the same manifest.
func (m Manifest) Encode() ([]byte, error) {
	text, err := json.Marshal(m)
	return append(text, '\n'), err
}

// ReadManifest decodes a manifest; one with a field that it does not know is an
// error.
func ReadManifest(text []byte) (m Manifest, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("it is no manifest: %w", err)
	}
	if m.Version != ManifestVersion {
		return m, fmt.Errorf("its version %d is unknown", m.Version)
	}
	return m, nil
}

// Hash is the SHA-256 of a file or a manifest, in hex.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Day is the UTC day of a time.
func Day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Day is the UTC day that an event is exported with: that of the time in its id.
func (e Event) Day() string { return Day(id.Time(e.ID)) }

// LateDays is for how many days after an export its day is looked at again, for
// events that came later than anything should.
const LateDays = 2

// Begin returns the first moment of a day, the zero time for an empty one.
func Begin(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	return time.ParseInLocation(time.DateOnly, day, time.UTC)
}
