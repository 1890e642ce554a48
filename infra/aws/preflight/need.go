package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"outpost/shared/agent"
	"outpost/shared/topology"
)

// What Outpost needs beside vCPUs.
const (
	// A run in flight sends heartbeats and events, and somebody may follow it by a
	// long poll: a quarter of an invocation at once. Dispatch takes ten.
	runsPerInvocation = 4
	dispatch          = 10
	unreserved        = 100 // Lambda lets nobody reserve the last hundred
	launchesPerSecond = 5   // the scheduler starts one after the other
	// Before version 21, somebody else could take over the bucket that assets are
	// uploaded to, once it was deleted; the templates alone ask for 6.
	bootstrapVersion = 21
)

// examine asks for everything; what cannot be asked is a finding too.
func (a account) examine(ctx context.Context, e environment) []finding {
	vcpus, rate := 0.0, 0
	for _, agent := range agent.All() {
		vcpus = max(vcpus, float64(agent.CPU)/1024*float64(e.FleetCap))
	}
	for _, r := range topology.Routes {
		rate = max(rate, r.Throttle().Rate)
	}
	fargate := []need{
		{"Fargate On-Demand vCPU resource count", "Fargate vCPUs, on demand", vcpus},
		{"Fargate On-Demand Sustained Launch Rate", "Fargate launches a second, on demand", launchesPerSecond},
	}
	if e.SpotFirstAttempts {
		fargate = append(fargate, need{"Fargate Spot vCPU resource count", "Fargate vCPUs, Spot", vcpus},
			need{"Fargate Spot Sustained Launch Rate", "Fargate launches a second, Spot", launchesPerSecond})
	}
	found := []finding{a.concurrency(ctx, e)}
	found = append(found, a.quotas(ctx, "fargate", fargate...)...)
	found = append(found, a.quotas(ctx, "states", need{"StartExecution throttle token refill rate per second", "Step Functions starts a second", launchesPerSecond})...)
	found = append(found, a.quotas(ctx, "apigateway", need{"Throttle rate", "API Gateway requests a second", float64(rate)})...)
	return append(found, a.table(ctx), a.bootstrapped(ctx, e))
}

// concurrency is Lambda's own word: what Service Quotas tells may be the default,
// where a new account has 10.
func (a account) concurrency(ctx context.Context, e environment) finding {
	reserved := 0
	for _, n := range e.ReservedConcurrency {
		reserved += n
	}
	want := dispatch + e.FleetCap/runsPerInvocation
	if reserved > 0 {
		want = max(want, reserved+unreserved)
	}
	f := a.quotas(ctx, "lambda", need{"Concurrent executions", "Lambda concurrent executions", float64(want)})[0]
	f.unknown = ""
	if f.code == "" {
		f.code = "L-B99A9384" // Service Quotas did not answer
	}
	out, err := a.lambda.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	switch {
	case err != nil:
		f.unknown = brief(err)
	case out.AccountLimit == nil:
		f.unknown = "no answer"
	default:
		f.have = float64(out.AccountLimit.ConcurrentExecutions)
	}
	return f
}

// table tells whether there is room for one more.
func (a account) table(ctx context.Context) finding {
	f := a.quotas(ctx, "dynamodb", need{"Maximum number of tables", "DynamoDB tables", 1})[0]
	pages := dynamodb.NewListTablesPaginator(a.tables, &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			f.unknown = brief(err)
			break
		}
		f.need += float64(len(page.TableNames))
	}
	return f
}

// bootstrapped tells whether the CDK's own stack is there.
func (a account) bootstrapped(ctx context.Context, e environment) finding {
	f := finding{what: "CDK bootstrap version", need: bootstrapVersion, do: "make bootstrap ENV=" + e.Name}
	out, err := a.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/cdk-bootstrap/hnb659fds/version")})
	var missing *types.ParameterNotFound
	switch {
	case errors.As(err, &missing):
	case err != nil:
		f.unknown = brief(err)
	case out.Parameter == nil:
		f.unknown = "no answer"
	default:
		if f.have, err = strconv.ParseFloat(aws.ToString(out.Parameter.Value), 64); err != nil {
			f.unknown = "it is not a number"
		}
	}
	return f
}
