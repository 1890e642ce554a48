// Command cost writes docs/cost.md: what Outpost costs on AWS, from the units
// that the local target measures, one table of list prices and one of assumed
// usage.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

const (
	measured = "infra/local/stack/testdata/units.json"
	written  = "docs/cost.md"
)

func main() {
	from := flag.String("units", measured, "measured units")
	to := flag.String("out", written, "page to write")
	flag.Parse()
	if err := run(*from, *to); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// run writes the page and prints its first table.
func run(from, to string) error {
	u, err := readUnits(from)
	if err != nil {
		return err
	}
	text := page(u, from)
	if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
		return err
	}
	_, rest, _ := strings.Cut(text, "## A month\n")
	summary, _, _ := strings.Cut(rest, "\n## ")
	fmt.Println(strings.TrimSpace(summary))
	return nil
}
