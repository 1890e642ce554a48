package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// exception is a rule of cdk-nag that Outpost does not keep, with the reason.
type exception struct{ rule, reason string }

var exceptions = []exception{
	{"AwsSolutions-IAM5", "Wildcards stand for revisions, streams, tasks of one cluster, executions of one machine and objects of one bucket, and for actions that AWS grants on all resources alone; TestNoStatementIsWiderThanItMust lists those."},
	{"AwsSolutions-APIG4", "Health, docs and the API's description are open on purpose; shared/topology says which routes are, and TestEveryResourceKeepsTheRules holds the template to it."},
	{"AwsSolutions-SF1", "All events would put task tokens and a line a step into the log; errors alone are logged, and the table has each run's history."},
	{"AwsSolutions-SF2", "Tracing costs with every run and shows nothing that the audit trail does not."},
	{"AwsSolutions-S1", "Artifacts are reached by signed URLs that last 15 minutes, each handed out by a request in the API's access log."},
	{"AwsSolutions-VPC7", "Workers' traffic goes to git hosts and providers that tenants choose; a flow log would cost with every byte and name no tenant."},
	{"AwsSolutions-SMG4", "The pepper hashes every API key: to change it is a migration (its version stands beside it), not a rotation."},
	{"AwsSolutions-ECS4", "Container Insights costs by task and metric; what operators need of a run is in its row, its events and nine metrics."},
}

// except adds the exceptions to a stack.
func except(stack awscdk.Stack) {
	var all []*cdknag.NagPackSuppression
	for _, e := range exceptions {
		all = append(all, &cdknag.NagPackSuppression{Id: jsii.String(e.rule), Reason: jsii.String(e.reason)})
	}
	if len(all) > 0 {
		cdknag.NagSuppressions_AddStackSuppressions(stack, &all, nil)
	}
}
