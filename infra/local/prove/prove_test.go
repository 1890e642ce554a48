package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
)

// record is one of the test called Test…<name> of shared/table.
func record(promise, name string, passed bool) guarantee.Record {
	return guarantee.Record{Promise: promise, Package: "shared/table", Test: "TestGuarantee" + name, Sentence: "It is " + name + ".",
		Passed: passed, At: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Seconds: 12, Cores: 2, Figures: []guarantee.Figure{{Name: "admitted", Value: "1234"}}}
}

func proofsOf(names ...string) (all []proof) {
	for _, n := range names {
		all = append(all, proof{"shared/table", "TestGuarantee" + n, "Sixty-four submitters."})
	}
	return all
}

func TestThePageShowsWhatHoldsWhatFailedAndWhatIsNotProven(t *testing.T) {
	text, err := page(proofsOf("A", "B", "C", "Forgotten"), []guarantee.Record{
		record("tenancy-1", "A", true), record("tenancy-2", "B", true), record("tenancy-2", "C", false), record("tenancy-3", "Gone", true)})
	for _, want := range []string{"| tenancy 1 | Quota | holds |", "| tenancy 2 | Concurrency | **FAILED** |", "| tenancy 3 | Fairness | **not proven** |",
		"**It is A.** Sixty-four submitters.", "`TestGuaranteeA` in `shared/table`: passed in 12 s on 2026-11-24, 2 cores", "- admitted: 1234",
		"`TestGuaranteeC` in `shared/table`: **FAILED**", "`TestGuaranteeForgotten` in `shared/table` **did not run**"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %s:\n%s", want, text)
		}
	}
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"tenancy-2 **FAILED**", "tenancy-3 **not proven**", "TestGuaranteeForgotten of shared/table did not run"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "tenancy-1 ") || strings.Contains(text, "Gone") {
		t.Errorf("a promise that holds is an error, or a test that is gone shows: %v", err)
	}
}

func TestAPageOnWhichAllHoldsIsNoError(t *testing.T) {
	var left []guarantee.Record
	for _, p := range guarantee.Promises {
		left = append(left, record(p.ID, "A", true))
	}
	if _, err := page(proofsOf("A"), left); err != nil {
		t.Error(err)
	}
}

func TestProofsAreFoundInTheSource(t *testing.T) {
	root := t.TempDir()
	for _, part := range parts {
		if err := os.MkdirAll(filepath.Join(root, part, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	source := "package x\n\n// TestGuaranteeOne tries to\n// break it.\nfunc TestGuaranteeOne(t *testing.T) {}\n\nfunc TestOther(t *testing.T) {}\n"
	if err := os.WriteFile(filepath.Join(root, "cmd", "x", "x_test.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := find(root)
	if err != nil || len(all) != 1 || all[0] != (proof{"cmd/x", "TestGuaranteeOne", "It tries to break it."}) {
		t.Errorf("%+v, %v", all, err)
	}
	if dirs := packages(all, nil); len(dirs) != 1 || dirs[0] != "./cmd/x" {
		t.Errorf("%v", dirs)
	}
	if dirs := packages(all, []string{"./shared/table"}); len(dirs) != 0 {
		t.Errorf("%v", dirs)
	}
}

// The committed page is the one that the source and the committed records make,
// and no proof of the source is without a record.
func TestThePageIsThatOfTheSourceAndItsRecords(t *testing.T) {
	const root = "../../.."
	proofs, err := find(root)
	if err != nil || len(proofs) < 5 {
		t.Fatalf("%d proofs were found: %v", len(proofs), err)
	}
	left, err := guarantee.Read(filepath.Join(root, recordsPath))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range neverRan(proofs, left) {
		t.Errorf("%s of %s has no record: make prove ONLY=./%s", p.Test, p.Package, p.Package)
	}
	for _, r := range left {
		if !r.Passed {
			t.Errorf("%s of %s is recorded as failed: make prove ONLY=./%s", r.Test, r.Package, r.Package)
		}
	}
	want, _ := page(proofs, left)
	if text, err := os.ReadFile(filepath.Join(root, pagePath)); err != nil || string(text) != want {
		t.Errorf("%s is not what its sources say (make generate writes it): %v", pagePath, err)
	}
}
