package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"outpost/infra/local/guarantee"
)

// Where the page and what it is made of lie, from the module's root.
const (
	pagePath    = "docs/guarantees.md"
	recordsPath = "infra/local/prove/records"
)

const preface = `# Guarantees

What always holds, and the tests that try to break it. Written by ` + "`make prove`" + `, which runs them at full size; ` + "`make test`" + ` runs the same tests
smaller. A figure here was measured or counted by the test that it stands under, on the machine and day that are named there; a time would be another on AWS.
`

// page makes docs/guarantees.md from the proofs that the source has and the
// records that they left. Its error names each promise that is not proven.
func page(proofs []proof, left []guarantee.Record) (string, error) {
	var head, body strings.Builder
	var bad []error
	kind := ""
	for _, p := range guarantee.Promises {
		name, number, _ := strings.Cut(p.ID, "-")
		if name != kind {
			kind = name
			fmt.Fprintf(&body, "\n## %s%s\n", strings.ToUpper(kind[:1]), kind[1:])
		}
		fmt.Fprintf(&body, "\n### %s %s. %s\n\n%s\n", kind, number, p.Title, p.Sentence)
		state, shown := sections(proofs, left, p)
		body.WriteString(shown)
		if state != held {
			bad = append(bad, fmt.Errorf("%s %s", p.ID, state))
		}
		fmt.Fprintf(&head, "| %s %s | %s | %s |\n", kind, number, p.Title, state)
	}
	if never := neverRan(proofs, left); len(never) > 0 {
		body.WriteString("\n## Without a record\n\n")
		for _, p := range never {
			fmt.Fprintf(&body, "- `%s` in `%s` **did not run**\n", p.Test, p.Package)
			bad = append(bad, fmt.Errorf("%s of %s did not run", p.Test, p.Package))
		}
	}
	took := 0.0
	for _, r := range left {
		took += r.Seconds
	}
	written := fmt.Sprintf("\nThe tests took %.0f minutes in all.\n", took/60)
	return preface + written + "\n| promise | | |\n|---|---|---|\n" + head.String() + body.String(), errors.Join(bad...)
}

// The states of a promise.
const (
	held     = "holds"
	failed   = "**FAILED**"
	unproven = "**not proven**"
)

// sections shows the proofs of a promise.
func sections(proofs []proof, left []guarantee.Record, p guarantee.Promise) (state, shown string) {
	var b strings.Builder
	state = unproven
	for _, of := range proofs {
		for _, r := range left {
			if r.Promise != p.ID || r.Package != of.Package || r.Test != of.Test {
				continue
			}
			result := "passed"
			if r.Passed && state == unproven {
				state = held
			}
			if !r.Passed {
				state, result = failed, "**FAILED**"
			}
			fmt.Fprintf(&b, "\n**%s** %s", r.Sentence, of.Says)
			fmt.Fprintf(&b, "\n\n- `%s` in `%s`: %s in %.0f s on %s, %d cores\n", r.Test, r.Package, result, r.Seconds, r.At.Format(time.DateOnly), r.Cores)
			for _, f := range r.Figures {
				fmt.Fprintf(&b, "- %s: %s\n", f.Name, f.Value)
			}
		}
	}
	if state == unproven {
		b.WriteString("\n" + unproven + "\n")
	}
	return state, b.String()
}

func neverRan(proofs []proof, left []guarantee.Record) []proof {
	var never []proof
	for _, p := range proofs {
		if !slices.ContainsFunc(left, func(r guarantee.Record) bool { return r.Package == p.Package && r.Test == p.Test }) {
			never = append(never, p)
		}
	}
	return never
}
