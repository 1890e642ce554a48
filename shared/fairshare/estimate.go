package fairshare

import "time"

// Estimate is how long the run in a place of its tenant's queue, from 1, is to
// wait: nothing while the tenant has a free slot for it, else until so many of its
// runs have ended as still stand before it: a tenant that uses all its slots ends
// one run each mean ÷ slots. A fleet that is full makes it longer; no tenant is
// told how full the others make it.
func Estimate(place, running, slots int, mean time.Duration) time.Duration {
	free := max(0, slots-running)
	if place <= free || slots < 1 {
		return 0
	}
	return mean * time.Duration(place-free) / time.Duration(slots)
}
