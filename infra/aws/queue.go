package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambdaeventsources"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/topology"
)

// queue is a queue with what no queue may lack: a dead-letter queue, the way
// there, an alarm when something has gone it, and its consumer.
type queue struct {
	spec     topology.QueueSpec
	main     awssqs.Queue
	deadline awscloudwatch.Alarm // messages wait too long; nil where they may
	dead     awscloudwatch.Alarm // messages were given up
}

// Dead letters are kept as long as SQS can.
const deadLetterDays = 14

func (d *deployment) queue(stack awscdk.Stack, spec topology.QueueSpec, consumer awslambda.Function) *queue {
	scope := constructs.NewConstruct(stack, jsii.String("Queue-"+spec.Name))
	props := func(name string) *awssqs.QueueProps {
		p := &awssqs.QueueProps{QueueName: jsii.String(name), Encryption: awssqs.QueueEncryption_SQS_MANAGED, EnforceSSL: jsii.Bool(true)}
		if spec.FIFO {
			p.Fifo = jsii.Bool(true)
		}
		return p
	}
	deadProps := props(d.deadLetterName(spec.Name))
	deadProps.RetentionPeriod = awscdk.Duration_Days(jsii.Number(deadLetterDays))
	dead := awssqs.NewQueue(scope, jsii.String("DeadLetters"), deadProps)
	mainProps := props(d.queueName(spec.Name))
	mainProps.VisibilityTimeout = awscdk.Duration_Seconds(jsii.Number(spec.VisibilityTimeout.Seconds()))
	mainProps.DeadLetterQueue = &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(spec.MaxReceives)}
	q := &queue{spec: spec, main: awssqs.NewQueue(scope, jsii.String("Queue"), mainProps)}

	source := &awslambdaeventsources.SqsEventSourceProps{BatchSize: jsii.Number(spec.BatchSize), ReportBatchItemFailures: jsii.Bool(true)}
	if !spec.FIFO || spec.MaxConcurrency > 1 { // one group runs one at a time by itself, and a source takes no maximum below 2
		source.MaxConcurrency = jsii.Number(max(2, spec.MaxConcurrency))
	}
	consumer.AddEventSource(awslambdaeventsources.NewSqsEventSource(q.main, source))

	q.dead = d.alarm(scope, alarm{id: "dead-letters-" + spec.Name, does: "Messages of " + spec.Name + " were given up.",
		metric:    dead.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: minutes(1)}),
		threshold: 0, periods: 1})
	if spec.MayWait == 0 {
		return q
	}
	q.deadline = d.alarm(scope, alarm{id: "old-" + spec.Name, does: "Messages of " + spec.Name + " wait for minutes: nobody consumes them.",
		metric:    q.main.MetricApproximateAgeOfOldestMessage(&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: minutes(1)}),
		threshold: spec.MayWait.Seconds(), periods: 3})
	return q
}

func (d *deployment) fifo(name string) string {
	for _, q := range topology.Queues {
		if (q.Name == name || topology.DeadLetterName(q.Name) == name) && q.FIFO {
			return ".fifo"
		}
	}
	return ""
}

func (d *deployment) queueName(name string) string { return d.prefix() + "-" + name + d.fifo(name) }

func (d *deployment) deadLetterName(name string) string {
	return d.queueName(topology.DeadLetterName(name))
}

func (d *deployment) queueURL(scope constructs.Construct, name string) string {
	s := awscdk.Stack_Of(scope)
	return "https://sqs." + *s.Region() + ".amazonaws.com/" + *s.Account() + "/" + d.queueName(name)
}
