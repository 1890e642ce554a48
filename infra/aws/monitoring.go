package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/metric"
	"outpost/shared/topology"
)

// monitoringStack is what an operator looks at, and what calls one. The alarms
// of queues are made with their queues.
type monitoringStack struct{}

// namespace is that of the deployment's own metrics.
func (d *deployment) namespace() string { return "Outpost/" + d.Name }

func newMonitoring(stack awscdk.Stack, d *deployment) *monitoringStack {
	m := metrics{d}
	for _, a := range []alarm{
		{id: "api-errors", does: "More than 2 % of the API's answers are 5xx.", threshold: 2, periods: 2,
			metric: m.share("5xx", m.api("5xx"), m.api("Count"), 5)},
		{id: "scheduler-failing", does: "The scheduler fails: nothing starts.", threshold: 2, periods: 2,
			metric: m.lambda("scheduler", "Errors", "Sum", 5)},
		{id: "reaper-silent", does: "The reaper has not run for minutes: nothing heals.", threshold: 1, below: true, periods: 5,
			metric: m.lambda("reaper", "Invocations", "Sum", 1), missing: awscloudwatch.TreatMissingData_BREACHING},
		{id: "reaper-failing", does: "The reaper fails: what a crash leaves behind stays.", threshold: 2, periods: 1,
			metric: m.lambda("reaper", "Errors", "Sum", 5)},
		{id: "workflow-failed", does: "An execution failed: its run is settled by the reaper, and something is wrong with launch or settle.", threshold: 0, periods: 1,
			metric: m.machine("ExecutionsFailed", 5)},
		{id: "no-capacity", does: "Fargate has had no room for a quarter of an hour.", threshold: 0, periods: 3,
			metric: m.own(metric.NoCapacity, "Sum", 5)},
		{id: "attempts-lost", does: "Workers are lost by the dozen.", threshold: 12, periods: 1,
			metric: m.own(metric.AttemptsLost, "Sum", 15)},
		{id: "audit-export-failing", does: "The audit trail's export fails: a tenant's days are not exported.", threshold: 2, periods: 1,
			metric: m.lambda("audit/export", "Errors", "Sum", 60)},
		{id: "audit-export-silent", does: "The audit trail's exporter has not run for hours.", threshold: 1, below: true, periods: 3,
			metric: m.lambda("audit/export", "Invocations", "Sum", 60), missing: awscloudwatch.TreatMissingData_BREACHING},
		{id: "billing-reconcile-failing", does: "The comparison with Stripe fails: plans may be other than what is paid.", threshold: 0, periods: 2,
			metric: m.lambda("stripe/reconcile", "Errors", "Sum", 60)},
		{id: "billing-reconcile-silent", does: "The comparison with Stripe has not run for hours.", threshold: 1, below: true, periods: 3,
			metric: m.lambda("stripe/reconcile", "Invocations", "Sum", 60), missing: awscloudwatch.TreatMissingData_BREACHING},
		{id: "billing-drift", does: "The comparison with Stripe changes plans by the dozen: webhooks do not arrive.", threshold: 12, periods: 1,
			metric: m.own(metric.PlansHealed, "Sum", 60)},
		{id: "billing-webhooks-lost", does: "For hours there have been events of Stripe of which no webhook came.", threshold: 0, periods: 3,
			metric: m.own(metric.EventsUnheard, "Maximum", 60)},
		{id: "tenant-removal-failing", does: "Closed tenants are not looked after: runs go on, or data stay after their time.", threshold: 2, periods: 2,
			metric: m.lambda("tenant/remove", "Errors", "Sum", 60)},
		{id: "table-throttled", does: "DynamoDB throttles the table.", threshold: 10, periods: 2,
			metric: m.throttled(5)},
	} {
		d.alarm(stack, a)
	}
	m.dashboard(stack)
	return &monitoringStack{}
}

// metrics makes the metrics of a deployment.
type metrics struct{ *deployment }

func (m metrics) of(namespace, name, statistic, label string, period float64, dimensions map[string]*string) awscloudwatch.Metric {
	props := &awscloudwatch.MetricProps{Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		Label: jsii.String(label), Period: minutes(period)}
	if len(dimensions) > 0 {
		props.DimensionsMap = &dimensions
	}
	return awscloudwatch.NewMetric(props)
}

func (m metrics) own(n metric.Name, statistic string, period float64) awscloudwatch.Metric {
	return m.of(m.namespace(), string(n), statistic, words(string(n)), period, nil)
}

func (m metrics) api(name string) awscloudwatch.Metric {
	statistic := "Sum"
	return m.of("AWS/ApiGateway", name, statistic, name, 5, map[string]*string{"ApiId": m.deployment.api.api.ApiId()})
}

func (m metrics) lambda(function, name, statistic string, period float64) awscloudwatch.Metric {
	f, ok := topology.FunctionByName(function)
	if !ok {
		panic("no function " + function)
	}
	return m.of("AWS/Lambda", name, statistic, function+" "+strings.ToLower(name), period, map[string]*string{"FunctionName": jsii.String(m.functionName(f))})
}

func (m metrics) machine(name string, period float64) awscloudwatch.Metric {
	return m.of("AWS/States", name, "Sum", words(name), period, map[string]*string{"StateMachineArn": m.dispatch.machine.AttrArn()})
}

// throttled counts the table's throttled reads and writes.
func (m metrics) throttled(period float64) awscloudwatch.IMetric {
	of := func(name string) awscloudwatch.IMetric {
		return m.of("AWS/DynamoDB", name, "Sum", words(name), period, map[string]*string{"TableName": m.data.table.TableName()})
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("FILL(reads, 0) + FILL(writes, 0)"), Label: jsii.String("throttled"), Period: minutes(period),
		UsingMetrics: &map[string]awscloudwatch.IMetric{"reads": of("ReadThrottleEvents"), "writes": of("WriteThrottleEvents")}})
}

// share is a part of a whole, in per cent, 0 where there is no whole.
func (m metrics) share(label string, part, whole awscloudwatch.Metric, period float64) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("IF(whole > 20, 100 * part / whole, 0)"), Label: jsii.String(label + ", %"), Period: minutes(period),
		UsingMetrics: &map[string]awscloudwatch.IMetric{"part": part, "whole": whole}})
}

// dashboard is read from the top: is anything wrong, does work flow, does the
// API answer, is there something behind.
func (m metrics) dashboard(stack awscdk.Stack) {
	board := awscloudwatch.NewDashboard(stack, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{DashboardName: jsii.String(m.prefix()),
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(6)), PeriodOverride: awscloudwatch.PeriodOverride_AUTO})
	var alarms []interfacesawscloudwatch.IAlarmRef
	for _, a := range m.alarms {
		alarms = append(alarms, a)
	}
	board.AddWidgets(awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{Title: jsii.String("Does anybody have to act? (docs/runbook.md)"),
		Alarms: &alarms, Width: jsii.Number(24), Height: jsii.Number(3)}))
	graph := func(title string, left ...awscloudwatch.IMetric) awscloudwatch.IWidget {
		return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{Title: jsii.String(title), Left: &left, Width: jsii.Number(8), Height: jsii.Number(6),
			LeftYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)}})
	}
	queue := m.dispatch.queues[0]
	board.AddWidgets(
		graph("Runs started and ended", m.own(metric.RunsStarted, "Sum", 5), m.own(metric.RunsSucceeded, "Sum", 5), m.own(metric.RunsFailed, "Sum", 5),
			m.own(metric.RunsTimedOut, "Sum", 5), m.own(metric.RunsCancelled, "Sum", 5)),
		graph("Seconds a run waits for its start", m.own(metric.QueueSeconds, "p50", 5), m.own(metric.QueueSeconds, "p99", 5)),
		graph("What went wrong and was mended", m.own(metric.AttemptsLost, "Sum", 5), m.own(metric.NoCapacity, "Sum", 5), m.own(metric.RunsHealed, "Sum", 5),
			m.machine("ExecutionsFailed", 5)),
	)
	board.AddWidgets(
		graph("API: requests and errors", m.api("Count"), m.api("4xx"), m.api("5xx")),
		graph("API: milliseconds", m.of("AWS/ApiGateway", "Latency", "p50", "p50", 5, map[string]*string{"ApiId": m.deployment.api.api.ApiId()}),
			m.of("AWS/ApiGateway", "Latency", "p99", "p99", 5, map[string]*string{"ApiId": m.deployment.api.api.ApiId()})),
		graph("Scheduler: errors, and its oldest message in seconds", m.lambda("scheduler", "Errors", "Sum", 5),
			queue.main.MetricApproximateAgeOfOldestMessage(&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum")})),
	)
}

// words are a name in capitals as a label.
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
