// Package config reads a binary's environment once, at its start. Every
// missing or malformed variable is named in one error, so a misconfigured
// function does not start.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"outpost/shared/egress"
	"outpost/shared/task"
	"outpost/shared/topology"
)

// Reader reads variables and collects what is wrong with them.
type Reader struct {
	lookup func(string) (string, bool)
	errs   []error
}

// New returns a Reader over an environment: os.LookupEnv, or a map in tests.
func New(lookup func(string) (string, bool)) *Reader { return &Reader{lookup: lookup} }

// Map is an environment for tests.
func Map(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

// Err returns everything that was missing or malformed, or nil.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// String returns a variable. The default of a topology setting applies where it
// is unset; without one, an empty value is an error unless it is optional.
func (r *Reader) String(name string) string {
	v, _ := r.lookup(name)
	s, known := topology.SettingByName(name)
	if v == "" {
		v = s.Default
	}
	if v == "" && !(known && s.Optional) {
		r.fail(name, errors.New("is not set"))
	}
	return v
}

// List returns a comma-separated variable.
func (r *Reader) List(name string) []string {
	var out []string
	for _, s := range strings.Split(r.String(name), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Pairs returns a variable of the form name=value,name=value.
func (r *Reader) Pairs(name string) map[string]string {
	out := map[string]string{}
	for _, p := range r.List(name) {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" || v == "" {
			r.fail(name, errors.New("wants name=value pairs"))
			return out
		}
		out[k] = v
	}
	return out
}

// Prefixes returns a variable that lists prefixes of addresses, as 127.0.0.0/8.
func (r *Reader) Prefixes(name string) []netip.Prefix {
	all, err := egress.Parse(r.List(name))
	if err != nil {
		r.fail(name, err)
	}
	return all
}

// Int returns a variable that is a positive whole number.
func (r *Reader) Int(name string) int {
	n, err := strconv.Atoi(r.String(name))
	if err != nil || n < 1 {
		r.fail(name, errors.New("wants a positive whole number"))
	}
	return n
}

// Bool returns a variable that is true or false.
func (r *Reader) Bool(name string) bool {
	b, err := strconv.ParseBool(r.String(name))
	if err != nil {
		r.fail(name, errors.New("wants true or false"))
	}
	return b
}

// Duration returns a variable that is a positive duration in Go's notation.
func (r *Reader) Duration(name string) time.Duration {
	d, err := time.ParseDuration(r.String(name))
	if err != nil || d <= 0 {
		r.fail(name, errors.New("wants a positive duration, as 90s"))
	}
	return d
}

// SecretStore returns where tenants' secrets are.
func (r *Reader) SecretStore() topology.SecretStore {
	const name = "OUTPOST_SECRET_STORE"
	store := topology.SecretStore(r.String(name))
	if !slices.Contains(topology.SecretStores, store) {
		r.fail(name, fmt.Errorf("wants one of %v", topology.SecretStores))
	}
	return store
}

// Timing returns the leases and waits of runs.
func (r *Reader) Timing() task.Timing {
	return task.Timing{
		ClaimLease:      r.Duration("OUTPOST_CLAIM_LEASE"),
		HeartbeatLease:  r.Duration("OUTPOST_HEARTBEAT_LEASE"),
		HeartbeatEvery:  r.Duration("OUTPOST_HEARTBEAT_EVERY"),
		UploadGrace:     r.Duration("OUTPOST_UPLOAD_GRACE"),
		NoCapacityWait:  r.Duration("OUTPOST_NO_CAPACITY_WAIT"),
		NoCapacityLimit: r.Duration("OUTPOST_NO_CAPACITY_LIMIT"),
	}
}

func (r *Reader) fail(name string, err error) {
	r.errs = append(r.errs, fmt.Errorf("%s %w", name, err))
}
