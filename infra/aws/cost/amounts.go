package main

import (
	"maps"
	"slices"
	"time"

	"outpost/shared/metric"
	"outpost/shared/task"
	"outpost/shared/topology"
)

// idle is what a month uses in which nobody does anything. Each rotation of the
// key, one a year, adds to its price, twice.
func idle(u units, rotations float64) amounts {
	m := u.IdleMinute
	a := amounts{
		keys: 1 + min(rotations, 2), secrets: 1, dashboards: 1, alarmMetrics: watchedMetrics,
		imageStorage: imagesGB(), objectStorage: assetsGB,
		queueRequests: float64(len(topology.Queues)) * pollers * minutesPerMonth * 60 / pollSeconds,
	}
	each := amounts{readUnitsOf: m.ReadUnits, writeUnitsOf: m.WriteUnits, transitions: m.Transitions, httpRequests: m.HTTPRequests}
	each.invoke(m.Invocations)
	each.call(m.Calls)
	each.log(m.HTTPRequests * accessLog)
	return a.plus(each.times(minutesPerMonth))
}

// invoke adds invocations of functions, and what they log.
func (a amounts) invoke(byFunction map[string]float64) {
	for _, name := range slices.Sorted(maps.Keys(byFunction)) {
		f, _ := topology.FunctionByName(name)
		n := byFunction[name]
		a.invocations(n, float64(f.MemoryMB))
	}
}

func (a amounts) invocations(n, memoryMB float64) {
	a[lambdaRequests] += n
	a[lambdaTime] += n * invocationSeconds * memoryMB / 1024
	a[secretReads] += n * coldShare
	a.log(n * invocationLog)
}

// call adds calls of AWS's APIs. A message is sent, received and deleted; only
// the first is among the calls of functions.
func (a amounts) call(byService map[string]float64) {
	for _, service := range slices.Sorted(maps.Keys(byService)) {
		n := byService[service]
		if service == "sqs" {
			n *= 3
		}
		a[billing[service]] += n
	}
}

func (a amounts) log(bytes float64) {
	a[logIngestion] += bytes / 1e9
	a[logStorage] += bytes / 1e9 * retentionDays / daysPerMonth
}

// act adds an action, n times.
func (a amounts) act(x action, n float64) {
	a[httpRequests] += n * x.requests
	a[readUnitsOf] += n * x.read
	a[writeUnitsOf] += n * x.write
	a.invocations(n*x.invocations, float64(topology.Functions[0].MemoryMB))
	a.log(n * x.requests * accessLog)
}

// perRun is what a run uses whose agent works for so many minutes: what was
// measured, with as many heartbeats, batches and readers as that time takes.
func perRun(u units, minutes float64, spot bool) amounts {
	r := u.Run
	a := amounts{readUnitsOf: r.ReadUnits, writeUnitsOf: r.WriteUnits, transitions: r.Transitions, httpRequests: r.HTTPRequests}
	a.invoke(r.Invocations)
	a.call(r.Calls)
	a.log(r.HTTPRequests*accessLog + workerLog)

	work := minutes + otherMinutes
	beats, batches := work*60/task.DefaultTiming.HeartbeatEvery.Seconds(), work*batchesPerMin
	a.act(actions.heartbeat, beats-r.Invocations["runner/heartbeat"])
	a.act(actions.batch, batches-r.Invocations["runner/events"])

	// Who looks, per run.
	terminal := followed / runsPerTask
	waits := work + startMinutes
	seen := terminal * looks(time.Duration(waits*float64(time.Minute)))
	a.act(actions.look, seen)
	a.act(actions.authorize, 1.0/runsPerTask+terminal*waits) // each answer is kept for a minute
	a.act(action{requests: 1, invocations: 1}, watched*batches)
	a.act(actions.watch, watched*work*60)
	a[lambdaTime] += watched * work * 60 * float64(topology.Functions[0].MemoryMB) / 1024

	a.container(work+startMinutes, spot)
	a[objectReads] += downloads
	a[objectStorage] += (resultsMB*kept("results") + logsMB*kept("logs")) / 1e3
	gb := (rowsKB*growth + batches*eventsPerBatch*eventBytes/1e3*eventDays/daysPerMonth) / 1e6
	a[tableStorage] += gb
	a[tableRecovery] += gb
	a[traffic] += (minutes*providerMB + downloads*(resultsMB+logsMB)) / 1e3
	a[traffic] += seen * actions.look.requests * answerKB / 1e6
	return a
}

// container adds a container of so many minutes, which are more than the one that
// is billed at least.
func (a amounts) container(minutes float64, spot bool) {
	hours := minutes / 60
	onDemand := hours
	vcpu, gb := worker()
	if spot {
		a[spotVCPUHours] += vcpu * hours
		a[spotMemory] += gb * hours
		onDemand = spotLost * hours
	}
	a[vcpuHours] += vcpu * onDemand
	a[memoryHours] += gb * onDemand
	a[diskHours] += max(0, diskGB-20) * hours
	a[addressHours] += hours
	if spot {
		a[addressHours] += onDemand
	}
}

// month is a month of so many tenants who make so many runs each.
func month(u units, tenants, runs, minutes float64, spot bool) amounts {
	a := idle(u, 0)
	if tenants > 0 {
		a[customMetrics] = float64(len(metric.All))
	}
	return a.plus(perRun(u, minutes, spot).times(tenants * runs))
}

// apart is what changes in a month with tenants' secrets in Secrets Manager: a
// secret for each tenant, and a read of it in place of each call of KMS. Every
// tenant has set one. The key stays: it may have sealed something before.
func apart(u units, tenants, runs float64) amounts {
	opened := tenants * runs * u.Run.Calls["kms"]
	return amounts{secrets: tenants, secretReads: opened, keyRequests: -opened}
}
