package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// cdk-nag's AWS Solutions rules. What is excepted stands with its reason in
// nag.go; an exception that nothing needs any more fails too.
func TestNagFindsNothing(t *testing.T) {
	assets, err := stubs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := newApp(dir)
	deploy(app, environment("prod"), assets)
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{}), nil)
	app.Synth(nil)
	reports, err := filepath.Glob(filepath.Join(dir, "AwsSolutions-*-NagReport.csv"))
	if err != nil || len(reports) != 5 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	checked, suppressed := 0, map[string]int{}
	for _, report := range reports {
		f, err := os.Open(report)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] { // Rule ID, Resource ID, Compliance, Exception Reason, Rule Level, Rule Info
			checked++
			switch row[2] {
			case "Non-Compliant", "UNKNOWN":
				t.Errorf("%s %s: %s", row[0], row[1], row[5])
			case "Suppressed":
				suppressed[row[0]]++
			}
		}
	}
	for _, e := range exceptions {
		if suppressed[e.rule] == 0 {
			t.Errorf("nothing needs the exception from %s", e.rule)
		}
	}
	if checked < 100 {
		t.Errorf("only %d checks were made", checked)
	}
}
