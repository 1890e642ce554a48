package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outpost/shared/agent"
	"outpost/shared/topology"
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
	u := committed(t)
	want := page(u, measured)
	if string(have) != want {
		t.Errorf("%s is out of date: make cost", written)
	}
	for range 20 {
		if page(u, measured) != want {
			t.Fatal("the same units give two pages")
		}
	}
}

// A run worked out by hand.
func TestARunAddsUp(t *testing.T) {
	u := units{Run: used{
		Invocations: map[string]float64{"workflow/launch": 1, "workflow/settle": 1, "runner/heartbeat": 1, "runner/events": 1, "runner/authorize": 2},
		Calls:       map[string]float64{"sqs": 2, "s3": 4, "kms": 1, "dynamodb": 30},
		ReadUnits:   20, WriteUnits: 100, Transitions: 4, HTTPRequests: 3}}
	// 5 minutes of the agent, 6 of the worker, 6.75 of the container: 18
	// heartbeats and 60 batches, of which one each is measured already.
	// A terminal looks 120 + 5.75 × 30 = 292.5 times, at half of the tasks, for
	// three runs: 48.75 looks a run, and 1/3 + 6.75/6 keys checked. A twentieth of
	// the runs is watched: 3 requests that last 18 s together.
	invocations := 6 + 2*17 + 2*59 + 2*48.75 + (1.0/3 + 1.125) + 3
	requests := 3 + 17 + 59 + 2*48.75 + 3
	for i, want := range map[item]float64{
		httpRequests: requests, lambdaRequests: invocations, lambdaTime: invocations*0.1*0.25 + 18*0.25,
		readUnitsOf: 20 + 17 + 48.75*35 + (1.0/3 + 1.125) + 18*11, writeUnitsOf: 100 + 17*4 + 59*2,
		transitions: 4, queueRequests: 6, objectWrites: 4, objectReads: 2, keyRequests: 1, secretReads: invocations * 0.02,
		vcpuHours: 0.1125, memoryHours: 0.225, addressHours: 0.1125, diskHours: 0, freeOfCharge: 30,
		logIngestion: (invocations*600 + requests*450 + 4000) / 1e9,
		traffic:      0.005 + 0.001 + 48.75*4e-6,
		// 50 KB for twelve months, 450 KB for 30 days.
		objectStorage: (0.05*12 + 0.45*30*12/365) / 1000,
		// 15 KB of each of twelve months; 180 events of 300 bytes for 30 days.
		tableStorage: (180 + 54*30.0*12/365) / 1e6, tableRecovery: (180 + 54*30.0*12/365) / 1e6,
	} {
		if got := perRun(u, 5, false)[i]; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", i, got, want)
		}
	}
	for i, want := range map[item]float64{spotVCPUHours: 0.1125, spotMemory: 0.225, vcpuHours: 0.05 * 0.1125, memoryHours: 0.05 * 0.225, addressHours: 1.05 * 0.1125} {
		if got := perRun(u, 5, true)[i]; math.Abs(got-want) > 1e-9 {
			t.Errorf("on Spot, %s: %v, want %v", i, got, want)
		}
	}
}

func TestAnIdleMonthAddsUp(t *testing.T) {
	u := units{IdleMinute: used{Invocations: map[string]float64{"reaper": 1}, Calls: map[string]float64{"sqs": 1}, ReadUnits: 4}}
	for i, want := range map[item]float64{
		lambdaRequests: 43800, lambdaTime: 43800 * 0.025, readUnitsOf: 4 * 43800, writeUnitsOf: 0,
		queueRequests: 2*5*3*43800 + 3*43800, // of each queue five polls every 20 s; a message sent, received and deleted
		keys:          1, secrets: 1, dashboards: 1, alarmMetrics: 20, imageStorage: 3.94, objectStorage: 0.5, customMetrics: 0,
		logIngestion: 43800 * 600 / 1e9,
	} {
		if got := idle(u, 0)[i]; math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", i, got, want)
		}
	}
	if got := idle(u, 9)[keys]; got != 3 {
		t.Errorf("a key of nine rotations costs as %v keys; only two are charged", got)
	}
}

func TestSecretsApartAddUp(t *testing.T) {
	a := apart(units{Run: used{Calls: map[string]float64{"kms": 2}}}, 100, 50)
	if a[secrets] != 100 || a[secretReads] != 10_000 || a[keyRequests] != -10_000 {
		t.Errorf("%v", a)
	}
	m := amounts{secrets: 1, keyRequests: 10_000}
	before, _ := bill(m)
	after, _ := bill(m.plus(a))
	if math.Abs(after-before-(40+0.05-0.03)) > 1e-9 {
		t.Errorf("$%v more", after-before)
	}
}

func TestABillAddsUp(t *testing.T) {
	list, paid := bill(amounts{lambdaRequests: 3e6, keys: 1, transitions: 10_000})
	if math.Abs(list-1.85) > 1e-9 || math.Abs(paid-1.55) > 1e-9 { // 0.60 + 1.00 + 0.25; 0.40 + 1.00 + 0.15
		t.Errorf("the bill is %v and %v", list, paid)
	}
	all := 0.0
	for _, m := range mix {
		all += m.share
	}
	if math.Abs(all-1) > 1e-9 {
		t.Errorf("the plans' shares add up to %v", all)
	}
}

func TestEverythingUsedHasAPrice(t *testing.T) {
	priced := map[item]bool{}
	for _, p := range prices {
		if priced[p.item] {
			t.Errorf("%s has two prices", p.item)
		}
		priced[p.item] = true
		if p.what == "" || p.unit == "" || p.per <= 0 || p.usd < 0 || p.where == "" || p.asOf == "" {
			t.Errorf("the price of %s is not whole: %+v", p.item, p)
		}
	}
	for service, i := range billing {
		if !priced[i] {
			t.Errorf("calls of %s are billed as %s, which has no price", service, i)
		}
	}
	u := committed(t)
	for _, a := range []amounts{idle(u, 2), month(u, 10, 100, agentMinutes, false), month(u, 10, 100, agentMinutes, true)} {
		for i, n := range a {
			if !priced[i] {
				t.Errorf("%s has no price", i)
			}
			if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
				t.Errorf("%s: %v", i, n)
			}
		}
	}
	for _, f := range topology.Functions[1:] {
		if f.MemoryMB != topology.Functions[0].MemoryMB {
			t.Errorf("%s has %d MB: what is said of an invocation no longer holds for all", f.Name, f.MemoryMB)
		}
	}
}

func TestUnitsThatCannotBePricedAreNamed(t *testing.T) {
	whole := `{"run": {"invocations": {"workflow/launch": 1, "workflow/settle": 1%s}, "calls": {"kms": 1%s}, "write_units": 1, "http_requests": 1%s},
		"idle_minute": {"invocations": {%s}}}`
	path := filepath.Join(t.TempDir(), "units.json")
	for _, c := range []struct{ name, content, want string }{
		{"whole", fmt.Sprintf(whole, "", "", "", `"reaper": 1`), ""},
		{"an unknown function", fmt.Sprintf(whole, `, "api/teleport": 1`, "", "", `"reaper": 1`), `there is no function "api/teleport"`},
		{"an unknown service", fmt.Sprintf(whole, "", `, "kinesis": 2`, "", `"reaper": 1`), `calls of "kinesis" have no price`},
		{"an unknown kind", fmt.Sprintf(whole, "", "", `, "gpu_hours": 3`, `"reaper": 1`), `unknown field "gpu_hours"`},
		{"no idle minute", fmt.Sprintf(whole, "", "", "", ""), "it measures no idle minute"},
		{"no run", "{}", "it measures no whole run"},
		{"no JSON", "units", "invalid character"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readUnits(path)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want one line with %q", c.name, err, c.want)
		}
	}
	if err := run(filepath.Join(t.TempDir(), "none"), path); err == nil || !strings.Contains(err.Error(), "make generate") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestAMissedGoalIsSaid(t *testing.T) {
	g := goal{most: 5}
	for want, bill := range map[string][2]float64{"met": {5, 4}, "met only with the free units": {6, 5}, "**missed**": {7, 5.01}} {
		if got := g.verdict(bill[0], bill[1]); got != want {
			t.Errorf("%v: %s, want %s", bill, got, want)
		}
	}
	u := committed(t)
	u.Run.WriteUnits, u.IdleMinute.ReadUnits = 1e6, 1e4
	if text := page(u, measured); strings.Count(text, "**missed**") != 2+3+3 { // idle twice, each scale on demand and on Spot
		t.Errorf("a run of a million writes meets goals:\n%s", text[:2000])
	}
}

// What each tenant has room for is what meets the goal to the cent.
func TestRoomIsWhatMeetsTheGoal(t *testing.T) {
	u := committed(t)
	for _, g := range goals[1:] {
		for _, spot := range []bool{false, true} {
			if list, _ := bill(month(u, g.tenants, g.room(u, 10, spot), 10, spot)); math.Abs(list-g.most) > 0.001 {
				t.Errorf("%.0f tenants: %v, want %v", g.tenants, list, g.most)
			}
		}
	}
}

func TestLooksAreThoseOfTheClient(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "cmd/outpost/follow.go"))
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(raw)), " ")
	if !strings.Contains(flat, "case since < time.Minute: return 500 * time.Millisecond case since < 10*time.Minute: return 2 * time.Second default: return 5 * time.Second") {
		t.Error("cmd/outpost looks at other intervals than looks says")
	}
}

func TestTheRestIsAsDeployed(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "docs/worker-image.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\| \| (.*) \|\n\|.*\|\n\| gzip MB \| (.*) \|$`).FindStringSubmatch(string(raw))
	if table == nil {
		t.Fatal("docs/worker-image.md has no table of images by gzip MB")
	}
	said := map[string]string{}
	sizes := strings.Split(table[2], " | ")
	for i, name := range strings.Split(table[1], " | ") {
		said[name] = sizes[i]
	}
	for _, name := range agent.Names() {
		if fmt.Sprint(imageMB[name]) != said[name] {
			t.Errorf("%s's image is of %v MB here, of %s in docs/worker-image.md", name, imageMB[name], said[name])
		}
	}

	var cdk struct {
		Context struct {
			Environments map[string]struct {
				LogRetentionDays  int  `json:"log_retention_days"`
				SpotFirstAttempts bool `json:"spot_first_attempts"`
			} `json:"environments"`
		} `json:"context"`
	}
	if raw, err = os.ReadFile(filepath.Join(root, "cdk.json")); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cdk); err != nil {
		t.Fatal(err)
	}
	if prod := cdk.Context.Environments["prod"]; prod.LogRetentionDays != retentionDays || prod.SpotFirstAttempts {
		t.Errorf("cdk.json has prod keep logs for %d days, Spot %v; the page says %d, on demand", prod.LogRetentionDays, prod.SpotFirstAttempts, retentionDays)
	}
}
