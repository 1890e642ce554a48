package task

import (
	"cmp"
	"slices"
)

// Ranked orders finished runs best first and returns the ids of those that
// succeeded, so that a run's rank is its place plus one. Verified patches come
// first, then unverified ones, then those whose verification failed; among
// equals the smaller patch, then the cheaper run, then the lower number.
func Ranked(runs []Run) []string {
	var done []Run
	for _, r := range runs {
		if r.State == Succeeded && r.Result != nil {
			done = append(done, r)
		}
	}
	slices.SortFunc(done, func(a, b Run) int {
		return cmp.Or(
			cmp.Compare(verifyOrder(a.Result.Verify.State), verifyOrder(b.Result.Verify.State)),
			cmp.Compare(a.Result.Patch.lines(), b.Result.Patch.lines()),
			cmp.Compare(costOrder(a.Result.CostUSD), costOrder(b.Result.CostUSD)),
			cmp.Compare(a.Number, b.Number),
		)
	})
	ids := make([]string, len(done))
	for i, r := range done {
		ids[i] = r.ID
	}
	return ids
}

func (p PatchStat) lines() int { return p.Additions + p.Deletions }

func verifyOrder(s VerifyState) int {
	switch s {
	case VerifyPassed:
		return 0
	case VerifyNone:
		return 1
	default:
		return 2
	}
}

// costOrder puts an unknown price behind every known one.
func costOrder(c *float64) float64 {
	if c == nil {
		return 1e18
	}
	return *c
}
