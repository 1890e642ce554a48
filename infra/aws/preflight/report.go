package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// report prints the findings and what to do, and returns the exit code.
func report(out io.Writer, findings []finding, region string) (code int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tHAVE\tNEED\t")
	var todo []string
	for _, f := range findings {
		have, verdict := fmt.Sprintf("%g", f.have), "ok"
		switch {
		case f.unknown != "":
			have, verdict = "?", "unknown: "+f.unknown
			todo = append(todo, fmt.Sprintf("# look it up by hand: %s", f.what))
		case !f.enough() && f.code != "":
			verdict = "ask for more"
			todo = append(todo, fmt.Sprintf("aws service-quotas request-service-quota-increase --region %s --service-code %s --quota-code %s --desired-value %g",
				region, f.service, f.code, f.need))
		case !f.enough():
			verdict = "missing"
			todo = append(todo, f.do)
		}
		fmt.Fprintf(w, "%s\t%s\t%g\t%s\n", f.what, have, f.need, verdict)
	}
	_ = w.Flush() // to a terminal
	if len(todo) == 0 {
		fmt.Fprintln(out, "\nAll is enough.")
		return 0
	}
	fmt.Fprintln(out, "\nTo do:")
	for _, t := range todo {
		fmt.Fprintln(out, "  "+t)
	}
	return 1
}

func sorted(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }
