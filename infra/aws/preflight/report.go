package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// report prints the findings and what to do, and returns the exit code.
func report(out io.Writer, findings []finding, region string) (code int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tHAVE\tNEED\t")
	var todo []string
	for _, f := range findings {
		have, verdict := number(f.have), "ok"
		switch {
		case f.unknown != "":
			have, verdict = "?", "unknown: "+f.unknown
			todo = append(todo, "# look it up by hand: "+f.what)
		case f.enough():
		case f.code == "":
			verdict = "missing"
			todo = append(todo, f.do)
		case f.fixed:
			verdict = "too little"
			todo = append(todo, fmt.Sprintf("# AWS does not raise %s: choose another region or a smaller fleet_cap", f.what))
		default:
			verdict = "ask for more"
			todo = append(todo, request(f, region))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.what, have, number(f.need), verdict)
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

// request is the command that asks AWS for a quota.
func request(f finding, region string) string {
	command := fmt.Sprintf("aws service-quotas request-service-quota-increase --region %s --service-code %s --quota-code %s --desired-value %s",
		region, f.service, f.code, number(f.ask()))
	if f.ask() > f.need {
		command += fmt.Sprintf("  # AWS takes no request up to its default of %s; Support restores the default on request", number(f.standard))
	}
	return command
}

// number is a number as the AWS CLI takes it: never with an exponent.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
