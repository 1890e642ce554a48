package guarantee_test

import (
	"os"
	"os/exec"
	"reflect"
	"testing"

	"outpost/infra/local/guarantee"
)

// envPlay makes this binary run one proof that ends as it says.
const envPlay = "OUTPOST_TEST_PLAY"

func TestMain(m *testing.M) {
	if how := os.Getenv(envPlay); how != "" {
		every := func(string, string) (bool, error) { return true, nil }
		testing.Main(every, []testing.InternalTest{{Name: "TestGuaranteePlayed", F: func(t *testing.T) { play(t, how) }}}, nil, nil)
		return
	}
	os.Exit(m.Run())
}

func play(t *testing.T, how string) {
	promise := "tenancy-1"
	if how == "unknown" {
		promise = "tenancy-99"
	}
	if how == "subtest" {
		t.Run("below", func(t *testing.T) { guarantee.For(t, promise, "s") })
		return
	}
	g := guarantee.For(t, promise, "It ends as told.")
	g.Figure("size", g.Pick(1000, 3))
	g.Figure("time, s", 0.12345)
	g.Figure("size", g.Pick(1001, 4))
	switch how {
	case "fail":
		t.Error("as told")
	case "skip":
		t.Skip("as told")
	case "panic":
		panic("as told")
	case "exit":
		os.Exit(3)
	}
}

// played runs the proof and returns what it left.
func played(t *testing.T, how, dir string) []guarantee.Record {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), guarantee.EnvDir+"="+dir, envPlay+"="+how)
	out, err := cmd.CombinedOutput()
	if wantsFine := how == "pass" || how == "skip"; (err == nil) != wantsFine {
		t.Fatalf("%s: %v: %s", how, err, out)
	}
	all, err := guarantee.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAProofThatPassesLeavesItsFigures(t *testing.T) {
	all := played(t, "pass", t.TempDir())
	if len(all) != 1 {
		t.Fatalf("%d records", len(all))
	}
	r := all[0]
	if !r.Passed || r.Promise != "tenancy-1" || r.Package != "infra/local/guarantee" || r.Test != "TestGuaranteePlayed" ||
		r.Sentence != "It ends as told." || r.Cores < 1 || r.At.IsZero() ||
		!reflect.DeepEqual(r.Figures, []guarantee.Figure{{Name: "size", Value: "1001"}, {Name: "time, s", Value: "0.123"}}) {
		t.Errorf("%+v", r)
	}
}

func TestAProofThatDoesNotPassLeavesAFailure(t *testing.T) {
	for _, how := range []string{"fail", "skip", "panic", "exit"} {
		if all := played(t, how, t.TempDir()); len(all) != 1 || all[0].Passed {
			t.Errorf("%s: %+v", how, all)
		}
	}
}

func TestAProofOfNoPromiseAndASubtestAreRefused(t *testing.T) {
	for _, how := range []string{"unknown", "subtest"} {
		if all := played(t, how, t.TempDir()); len(all) != 0 {
			t.Errorf("%s: %+v", how, all)
		}
	}
}

func TestOutsideOfMakeProveAProofIsSmallAndLeavesNothing(t *testing.T) {
	t.Setenv(guarantee.EnvDir, "")
	if n := (&guarantee.Guarantee{}).Pick(1000, 3); n != 3 || guarantee.Full() {
		t.Errorf("it runs with %d", n)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, cmd := t.TempDir(), exec.Command(self)
	cmd.Env, cmd.Dir = append(os.Environ(), envPlay+"=pass"), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestPromisesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range guarantee.Promises {
		if seen[p.ID] || p.Title == "" || p.Sentence == "" {
			t.Errorf("%+v", p)
		}
		seen[p.ID] = true
	}
}
