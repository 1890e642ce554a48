package api

import (
	"strconv"
	"time"
)

// defaultLimit is how many entries a page has when nobody says.
const defaultLimit = 20

// Limit is how many entries a page of the list may have; the contract has checked
// the parameter.
func (r *Request) Limit() (int, error) {
	if r.Query["limit"] == "" {
		return defaultLimit, nil
	}
	return strconv.Atoi(r.Query["limit"])
}

// Time is a parameter that is a time; the zero time without it. The contract has
// checked the parameter.
func (r *Request) Time(name string) (time.Time, error) {
	if r.Query[name] == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, r.Query[name])
}
