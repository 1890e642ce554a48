package main

import (
	"fmt"
	"strings"
	"time"

	"outpost/shared/agent"
	"outpost/shared/artifact"
	"outpost/shared/plan"
	"outpost/shared/task"
	"outpost/shared/topology"
)

// mix is how tenants are spread over the plans, and how many runs a month one
// of them makes.
var mix = []struct {
	plan  string
	share float64
	runs  float64
}{
	{"free", 0.70, 20},         // one a working day
	{"pro", 0.25, 200},         // three tasks of three agents a working day
	{"enterprise", 0.05, 1000}, // fifteen
}

// What is assumed of a run. What can be measured is not here.
const (
	agentMinutes   = 5.0  // an agent works
	otherMinutes   = 1.0  // clone, setup twice, verify, uploads
	startMinutes   = 0.75 // billed from the start of the image's download, before the worker runs
	runsPerTask    = 3    // agents on a task
	followed       = 0.5  // of tasks that a terminal follows to their end (outpost run)
	watched        = 0.05 // of runs whose events somebody reads as they come (outpost logs -f)
	batchesPerMin  = 10.0 // event batches that a worker sends
	eventsPerBatch = 3
	eventBytes     = 300

	providerMB = 1.0 // that an agent sends to its provider a minute: it repeats the whole conversation at each turn
	downloads  = 2.0 // of a run's artifacts
	answerKB   = 2.0 // of an answer of the API to whoever follows

	resultsMB = 0.05 // patch and summary of a run
	logsMB    = 0.45 // its logs and transcript
	rowsKB    = 15.0 // that a run leaves in the table for good, with its index entries
	growth    = 12.0 // months of that usage that the table holds
	eventDays = 30.0 // that events stay in the table

	invocationSeconds = 0.1  // billed for one, cold starts included
	coldShare         = 0.02 // of invocations that start a process, which reads the platform's secret
	invocationLog     = 600  // bytes: Lambda's three lines, and what a function writes
	accessLog         = 450  // bytes a request
	workerLog         = 4000 // bytes a run

	spotLost = 0.05 // of first attempts that Spot takes away: they run again, on demand
)

// What exists whether or not anybody works.
const (
	retentionDays   = 90   // of logs, as cdk.json sets it for prod
	watchedMetrics  = 20   // that the CDK app's alarms watch; its tests count them
	imagesKept      = 2    // of each agent, by the repositories' rule
	assetsGB        = 0.5  // the functions' zips of some deployments, in the bucket of the CDK's bootstrap
	diskGB          = 20.0 // of a worker, what is free: the task definitions ask for no more
	pollers         = 5    // that Lambda keeps on a queue
	pollSeconds     = 20   // of an empty long poll
	minutesPerMonth = 365.0 / 12 * 24 * 60
	daysPerMonth    = 365.0 / 12
)

// imageMB are the images as compressed by gzip, from docs/worker-image.md.
var imageMB = map[string]float64{"claude": 449, "codex": 440, "gemini": 297, "grok": 344, "aider": 440}

// actions are what one of them uses. Their units are measured by a test: a run
// of minutes does them more often than the measured run of seconds.
var actions = struct{ heartbeat, batch, look, watch, authorize action }{
	heartbeat: action{requests: 1, invocations: 2, read: 1, write: 4},
	batch:     action{requests: 1, invocations: 2, write: 2},
	look:      action{requests: 2, invocations: 2, read: 35}, // the task, then the events of its runs
	watch:     action{read: 11},                              // a second of waiting for events
	authorize: action{invocations: 1, read: 1},
}

type action struct{ requests, invocations, read, write float64 }

// looks is how often a terminal looks at a task that takes so long: as cmd/outpost
// does, each half second, after a minute each 2 s, after ten each 5 s.
func looks(d time.Duration) float64 {
	n := min(d, time.Minute).Seconds() / 0.5
	n += max(0, min(d, 10*time.Minute)-time.Minute).Seconds() / 2
	return n + max(0, d-10*time.Minute).Seconds()/5
}

// runsPerTenant is the mean over all tenants, a month.
func runsPerTenant() (n float64) {
	for _, m := range mix {
		n += m.share * m.runs
	}
	return n
}

// worker is the mean size of the agents' containers.
func worker() (vcpu, gb float64) {
	all := agent.All()
	for _, a := range all {
		vcpu += float64(a.CPU) / 1024 / float64(len(all))
		gb += float64(a.MemoryMB) / 1024 / float64(len(all))
	}
	return vcpu, gb
}

// kept is how many months an artifact of that prefix is kept.
func kept(prefix string) float64 {
	for _, k := range artifact.Kinds {
		if k.Prefix == prefix {
			return float64(k.Days) / daysPerMonth
		}
	}
	panic("no artifacts of the kind " + prefix)
}

func imagesGB() (gb float64) {
	for _, name := range agent.Names() {
		gb += imagesKept * imageMB[name] / 1000
	}
	return gb
}

// assumption is a row of the page.
type assumption struct{ what, value, why string }

// assumptions are all of the above, for people.
func assumptions() []assumption {
	vcpu, gb := worker()
	var shares, runs, fees []string
	for _, m := range mix {
		shares = append(shares, fmt.Sprintf("%s %.0f %%", m.plan, 100*m.share))
		runs = append(runs, fmt.Sprintf("%s %.0f", m.plan, m.runs))
		if p, ok := plan.Lookup(m.plan); ok {
			fees = append(fees, fmt.Sprintf("$%d", p.PriceUSD))
		}
	}
	row := func(what, why, format string, args ...any) assumption {
		return assumption{what, fmt.Sprintf(format, args...), why}
	}
	return []assumption{
		row("tenants by plan", "a guess; the plans are "+strings.Join(fees, ", ")+" a month", "%s", strings.Join(shares, ", ")),
		row("runs a month of a tenant", "a guess: a run a working day; three, and fifteen, tasks of three agents a working day", "%s; %.0f on average", strings.Join(runs, ", "), runsPerTenant()),
		row("minutes that an agent works", "500 issues of SWE-bench Verified took Claude Code 9.0, Codex 2.3 and Gemini CLI 3.1 minutes each, 4.8 on average (whatsthebestcodeagent.com, 2025-10)", "%g", agentMinutes),
		row("minutes of clone, setup, verify and uploads", "a guess; it is the tenant's repository that decides", "%g", otherMinutes),
		row("minutes that a container is billed before its worker runs", "starts of 53 to 62 s were seen with a pull of such a size ([worker-image.md](worker-image.md)); not all of it is billed", "%g", startMinutes),
		row("a container", "shared/agent; 20 GB of disk are free", "%g vCPU, %g GB, a public address", vcpu, gb),
		row("heartbeats; event batches", "shared/task; the worker sends at most one batch a second, and an agent is mostly silent", "every %g s; %g a minute, of %d events of %d bytes", task.DefaultTiming.HeartbeatEvery.Seconds(), batchesPerMin, eventsPerBatch, eventBytes),
		row("agents on a task", "between one and the five that there are", "%d", runsPerTask),
		row("tasks that a terminal follows to the end", "`outpost run` looks each half second, after a minute each 2 s, after ten each 5 s, with two requests", "%.0f %%", 100*followed),
		row("runs whose events somebody waits for", "`outpost logs -f` holds a function for as long as it waits", "%.0f %%", 100*watched),
		row("sent to the provider", "some 250,000 tokens a minute, the conversation again at each turn; what comes back is free", "%g MB a minute of the agent's work", providerMB),
		row("artifacts", fmt.Sprintf("kept %.0f and %.0f months; downloaded twice", kept("results"), kept("logs")), "%g MB of results, %g MB of logs a run", resultsMB, logsMB),
		row("table", fmt.Sprintf("what stays is that of %.0f months of this usage; events go after %.0f days", growth, eventDays), "%g KB a run for good, and its events", rowsKB),
		row("an invocation", fmt.Sprintf("docs/benchmarks.md: 11 to 29 ms to a first answer on a whole core, of which Lambda gives a seventh; %.0f %% start cold", 100*coldShare), "%g s of %d MB", invocationSeconds, topology.Functions[0].MemoryMB),
		row("logs", fmt.Sprintf("kept %d days; charged as if stored without compression", retentionDays), "%d bytes an invocation, %d a request, %d a run's worker", invocationLog, accessLog, workerLog),
		row("empty polls of each queue", "AWS documents five readers for a standard queue, and as few as two when it is quiet (Lambda guide, services-sqs-scaling); it says nothing of FIFO, so five", "%d pollers, one request every %d s each", pollers, pollSeconds),
		row("images", "[worker-image.md](worker-image.md), gzip; not one layer of the base shared", "%.2f GB: five, %d of each", imagesGB(), imagesKept),
		row("alarms, dashboard, key, secret", "infra/aws; custom metrics cost only when something runs", "%d metrics watched, 1, 1, 1", watchedMetrics),
		row("Spot", "50 to 70 % off, moving with demand; the address stays", "60 %% off, %.0f %% of first attempts lost and run again on demand", 100*spotLost),
		row("left out", "", "support, taxes, retries after faults, promotion to a branch, webhooks; a task's common part is counted for each of its runs; the export of the audit trail: two objects, two writes and some forty reads for each tenant and day with events, half a dollar a month for 1,000 tenants; billing: some thirty units for each webhook, and ten for each paying tenant and hour, 2 dollars a month for 1,000 that pay"),
	}
}
