package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// alarm means that somebody has to act. What to do stands in docs/runbook.md
// under its id.
type alarm struct {
	id        string
	does      string // one sentence: what is wrong
	metric    awscloudwatch.IMetric
	threshold float64 // more than that, or less when below is set
	below     bool
	periods   int // in a row
	missing   awscloudwatch.TreatMissingData
}

func (d *deployment) alarm(scope constructs.Construct, a alarm) awscloudwatch.Alarm {
	operator, missing := awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD, awscloudwatch.TreatMissingData_NOT_BREACHING
	if a.below {
		operator = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD
	}
	if a.missing != "" {
		missing = a.missing
	}
	made := awscloudwatch.NewAlarm(scope, jsii.String("Alarm-"+a.id), &awscloudwatch.AlarmProps{
		AlarmName: jsii.String(d.prefix() + "-" + a.id), AlarmDescription: jsii.String(a.does + " docs/runbook.md#" + a.id),
		Metric: a.metric, Threshold: jsii.Number(a.threshold), ComparisonOperator: operator, EvaluationPeriods: jsii.Number(a.periods),
		TreatMissingData: missing,
	})
	action := awscloudwatchactions.NewSnsAction(d.data.alerts)
	made.AddAlarmAction(action)
	made.AddOkAction(action)
	d.alarms = append(d.alarms, made)
	return made
}

func minutes(n float64) awscdk.Duration { return awscdk.Duration_Minutes(jsii.Number(n)) }
