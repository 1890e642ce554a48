package main

import (
	"encoding/json"
	"fmt"
	"os"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// units are what the local target measured (infra/local/stack, make generate).
type units struct {
	Run        used `json:"run"`         // one agent, a verify command, warm
	IdleMinute used `json:"idle_minute"` // nothing waits, nothing runs
}

type used struct {
	Invocations  map[string]float64 `json:"invocations"`
	Calls        map[string]float64 `json:"calls"`
	ReadUnits    float64            `json:"read_units"`
	WriteUnits   float64            `json:"write_units"`
	Transitions  float64            `json:"transitions"`
	HTTPRequests float64            `json:"http_requests"`
}

func readUnits(path string) (u units, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return u, fmt.Errorf("the measured units are not there: %w", err)
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return u, fmt.Errorf("%s holds no measured units: %w", path, err)
	}
	if u.Run.WriteUnits == 0 || u.Run.Invocations["workflow/launch"] == 0 || u.IdleMinute.Invocations["reaper"] == 0 {
		return u, fmt.Errorf("%s measures no whole run", path)
	}
	return u, nil
}

// usage is what is assumed of tenants, and cannot be measured here.
var usage = struct {
	freeShare, proShare, enterpriseShare float64 // of tenants
	freeRuns, proRuns, enterpriseRuns    float64 // a month
	minutes                              float64 // an agent works, on average
	pullMinutes                          float64 // Fargate bills from when it begins to fetch the image
	followed                             float64 // of tasks that somebody follows, asking every 3 s
	runsPerTask                          float64
	eventsPerMinute                      float64 // batches that a worker sends
	artifactMB                           float64 // of a run
	rowKB                                float64 // that a run leaves in the table
	logLine                              float64 // bytes of log an invocation, Lambda's own lines included
	workerLogKB                          float64
	warmSeconds                          float64 // of a function's invocation
}{
	freeShare: 0.70, proShare: 0.25, enterpriseShare: 0.05,
	freeRuns: 20, proRuns: 200, enterpriseRuns: 1000,
	minutes: 4, pullMinutes: 0.75, followed: 0.5, runsPerTask: 3, eventsPerMinute: 10,
	artifactMB: 0.5, rowKB: 30, logLine: 600, workerLogKB: 4, warmSeconds: 0.05,
}

// runsPerTenant is the mean over all tenants, a month.
func runsPerTenant() float64 {
	u := usage
	return u.freeShare*u.freeRuns + u.proShare*u.proRuns + u.enterpriseShare*u.enterpriseRuns
}

// functionGB is a function's memory; topology gives all of them the same.
const functionGB = 0.25

// imagesGB are five images, gzip, of docs/worker-image.md, and two are kept.
const imagesGB = 2 * 1.97

// pollers are those that Lambda keeps on a queue, each asking every 20 s when
// nothing comes: five, as AWS's documentation of SQS event sources had it.
const pollers = 5

const (
	minutesPerMonth = 30.4 * 24 * 60
	secondsPerMonth = minutesPerMonth * 60
)

// idle is what is used in a month in which nobody does anything.
func idle(u units) map[string]float64 {
	m := u.IdleMinute
	invocations := sum(m.Invocations) * minutesPerMonth
	return map[string]float64{
		"kms keys": 1, "secrets": 1, "dashboards": 1, "alarm metrics": alarmMetrics, "image GB": imagesGB,
		"sqs":             pollers*secondsPerMonth/20 + m.Calls["sqs"]*minutesPerMonth,
		"lambda requests": invocations, "lambda GB-s": invocations * functionGB * usage.warmSeconds,
		"read units": m.ReadUnits * minutesPerMonth, "write units": m.WriteUnits * minutesPerMonth,
		"log GB": invocations * usage.logLine / 1e9, "log GB kept": invocations * usage.logLine / 1e9,
		"free of charge": invocations,
	}
}

// alarmMetrics are the metrics of the CDK app's ten alarms; two alarms compute
// with two each.
const alarmMetrics = 12

// perRun is what one run uses whose agent works for so many minutes: the
// measured units, with heartbeats, events and reads of whoever follows it scaled
// to that time.
func perRun(u units, minutes float64) map[string]float64 {
	r := u.Run
	beats := minutes * 60 / task.DefaultTiming.HeartbeatEvery.Seconds()
	batches := minutes * usage.eventsPerMinute
	looks := usage.followed * minutes * 60 / 3 / usage.runsPerTask
	// A heartbeat is two invocations (it and its authorizer), a read and a write;
	// an event batch the same without the read; a look one invocation and two
	// reads, its authorizer being cached.
	requests := r.HTTPRequests + beats + batches + looks
	invocations := sum(r.Invocations) + 2*beats + 2*batches + looks
	hours := (minutes + usage.pullMinutes) / 60
	size := worker()
	return map[string]float64{
		"vCPU hours": size.vcpu * hours, "memory hours": size.gb * hours, "address hours": hours,
		"http requests": requests, "lambda requests": invocations, "lambda GB-s": invocations * functionGB * usage.warmSeconds,
		"read units":  r.ReadUnits + beats + 3*looks,
		"write units": r.WriteUnits + 4*beats + 2*batches,
		"transitions": r.Transitions, "sqs": 3 * r.Calls["sqs"], // sent, received, deleted
		"kms": r.Calls["kms"], "secretsmanager": r.Calls["secretsmanager"],
		"s3 writes": r.Calls["s3"], "s3 reads": 2, "s3 GB": usage.artifactMB / 1e3 * 6, // kept half a year on average
		"table GB": usage.rowKB / 1e6 * 6, "recovery GB": usage.rowKB / 1e6 * 6,
		"log GB": (invocations*usage.logLine + usage.workerLogKB*1e3) / 1e9, "log GB kept": (invocations*usage.logLine + usage.workerLogKB*1e3) / 1e9,
		"traffic GB": usage.artifactMB / 1e3 * 2, "free of charge": r.Calls["ecs"],
	}
}

// metrics are the CDK app's own, which cost when they are used.
const metrics = 9

// month is a month of so many tenants.
func month(u units, tenants float64) map[string]float64 {
	all := idle(u)
	for name, n := range perRun(u, usage.minutes) {
		all[name] += n * tenants * runsPerTenant()
	}
	all["metrics"] = metrics
	return all
}

type size struct{ vcpu, gb float64 }

// worker is the mean size of the agents' containers.
func worker() (s size) {
	agents := agent.All()
	for _, a := range agents {
		s.vcpu += float64(a.CPU) / 1024 / float64(len(agents))
		s.gb += float64(a.MemoryMB) / 1024 / float64(len(agents))
	}
	return s
}

func sum(m map[string]float64) (n float64) {
	for _, v := range m {
		n += v
	}
	return n
}
