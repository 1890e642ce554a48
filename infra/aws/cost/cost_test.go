package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/shared/task"
)

const root = "../../.."

func committed(t *testing.T) units {
	t.Helper()
	u, err := readUnits(filepath.Join(root, measured))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestThePageIsWhatTheUnitsGive(t *testing.T) {
	have, err := os.ReadFile(filepath.Join(root, written))
	if err != nil {
		t.Fatal(err)
	}
	if want := page(committed(t), measured); string(have) != want {
		t.Errorf("%s is out of date: make cost", written)
	}
}

func TestEverythingUsedHasAPrice(t *testing.T) {
	u := committed(t)
	for _, amounts := range []map[string]float64{idle(u), month(u, 10)} {
		for name, amount := range amounts {
			if _, ok := prices[name]; !ok {
				t.Errorf("%s has no price", name)
			}
			if amount < 0 || math.IsNaN(amount) || math.IsInf(amount, 0) {
				t.Errorf("%s: %v", name, amount)
			}
		}
	}
	// What the local target saw called is billed somewhere.
	billed := map[string]string{"dynamodb": "read units", "ecs": "free of charge", "kms": "kms", "s3": "s3 writes", "sqs": "sqs",
		"states": "transitions", "secretsmanager": "secretsmanager"}
	for _, used := range []used{u.Run, u.IdleMinute} {
		for service := range used.Calls {
			if _, ok := prices[billed[service]]; !ok {
				t.Errorf("calls of %s are not billed", service)
			}
		}
	}
	for name, p := range prices {
		if p.from == "" || p.usd < 0 || p.what == "" {
			t.Errorf("the price of %s: %+v", name, p)
		}
	}
}

func TestARunAddsUp(t *testing.T) {
	u := units{Run: used{Invocations: map[string]float64{"a": 10}, Calls: map[string]float64{"sqs": 2, "s3": 4}, ReadUnits: 20, WriteUnits: 100, Transitions: 4, HTTPRequests: 7}}
	got := perRun(u, 2)
	beats := 120 / task.DefaultTiming.HeartbeatEvery.Seconds() // 6
	looks := 0.5 * 120 / 3 / 3.0
	for name, want := range map[string]float64{
		"vCPU hours": 2.75 / 60, "memory hours": 2 * 2.75 / 60, "transitions": 4, "sqs": 6, "s3 writes": 4,
		"http requests": 7 + beats + 20 + looks, "lambda requests": 10 + 2*beats + 40 + looks,
		"read units": 20 + beats + 3*looks, "write units": 100 + 4*beats + 40,
	} {
		if math.Abs(got[name]-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	list, paid := bill(map[string]float64{"lambda requests": 3e6, "kms keys": 1})
	if math.Abs(list-1.6) > 1e-9 || math.Abs(paid-1.4) > 1e-9 {
		t.Errorf("the bill is %v and %v", list, paid)
	}
}

func TestAMissedGoalIsSaid(t *testing.T) {
	u := committed(t)
	u.Run.WriteUnits = 1e6
	if text := page(u, measured); strings.Count(text, "**missed**") != 3 {
		t.Errorf("a run that takes a million writes meets its goals:\n%s", text[:2000])
	}
}

func TestUnitsThatAreNoneAreOneSentence(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"none": "", "text": "units", "empty": "{}"} {
		path := filepath.Join(dir, name)
		if name != "none" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := run(path, filepath.Join(dir, "page")); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
