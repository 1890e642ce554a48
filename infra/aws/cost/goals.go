package main

// goal is what the issue wants of a month, beside what the earlier Outpost
// promised.
type goal struct {
	tenants  float64 // 0: idle
	most     float64 // USD
	promised string
}

var goals = []goal{
	{0, 5, "under $15; it took about $95"},
	{10, 300.0 / 3, "$300"},
	{100, 600.0 / 3, "$600"},
	{1000, 2000.0 / 3, "$2,000"},
}

// verdict says whether a bill meets the goal, and by whose grace.
func (g goal) verdict(list, paid float64) string {
	switch {
	case paid > g.most:
		return "**missed**"
	case list > g.most:
		return "met only with the free units"
	default:
		return "met"
	}
}

// room is how many runs a month each tenant may make within the goal, at list
// prices, which grow evenly.
func (g goal) room(u units, minutes float64, spot bool) float64 {
	fixed, _ := bill(month(u, g.tenants, 0, minutes, spot))
	each, _ := bill(perRun(u, minutes, spot))
	return max(0, (g.most-fixed)/each/g.tenants)
}
