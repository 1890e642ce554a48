package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"outpost/shared/topology"
)

// units are what the local target measured (infra/local/stack, make generate).
type units struct {
	Run        used `json:"run"`         // one agent and a verify command, from submission to settlement, warm
	IdleMinute used `json:"idle_minute"` // nothing waits, nothing runs
}

type used struct {
	Invocations  map[string]float64 `json:"invocations"` // by function
	Calls        map[string]float64 `json:"calls"`       // of AWS APIs, by service
	ReadUnits    float64            `json:"read_units"`
	WriteUnits   float64            `json:"write_units"`
	Transitions  float64            `json:"transitions"`
	HTTPRequests float64            `json:"http_requests"`
}

// readUnits reads measured units. An error is one sentence.
func readUnits(path string) (u units, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return u, fmt.Errorf("there are no measured units in %s: make generate measures them", path)
	}
	if err != nil {
		return u, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields() // a new kind of unit has no price yet
	if err := d.Decode(&u); err != nil {
		return u, fmt.Errorf("%s: %w", path, err)
	}
	if err := u.check(); err != nil {
		return u, fmt.Errorf("%s: %w", path, err)
	}
	return u, nil
}

// check finds what cannot be priced.
func (u units) check() error {
	for _, part := range []used{u.Run, u.IdleMinute} {
		for _, name := range slices.Sorted(maps.Keys(part.Invocations)) {
			if _, ok := topology.FunctionByName(name); !ok {
				return fmt.Errorf("there is no function %q", name)
			}
		}
		for _, service := range slices.Sorted(maps.Keys(part.Calls)) {
			if _, ok := billing[service]; !ok {
				return fmt.Errorf("calls of %q have no price", service)
			}
		}
	}
	switch {
	case u.Run.Invocations["workflow/launch"] == 0, u.Run.Invocations["workflow/settle"] == 0, u.Run.WriteUnits == 0, u.Run.HTTPRequests == 0:
		return errors.New("it measures no whole run")
	case u.IdleMinute.Invocations["reaper"] == 0:
		return errors.New("it measures no idle minute: the reaper did not run")
	}
	return nil
}
