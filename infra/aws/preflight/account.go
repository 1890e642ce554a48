package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"outpost/shared/agent"
)

type identity struct{ account, arn string }

// identify tells who asks, and refuses another account than the settings name.
func identify(ctx context.Context, cfg aws.Config, e environment) (identity, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return identity{}, fmt.Errorf("AWS does not say who you are; are there credentials? (%s)", brief(err))
	}
	who := identity{aws.ToString(out.Account), aws.ToString(out.Arn)}
	if e.Account != "" && e.Account != who.account {
		return identity{}, fmt.Errorf("the credentials are for account %s, the settings for %s", who.account, e.Account)
	}
	return who, nil
}

// brief is an AWS error without its wrapping.
func brief(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// finding is one thing that a deployment needs.
type finding struct {
	what          string
	have, need    float64
	service, code string // of the quota to ask for; empty where none is asked
	do            string // what else to do
	unknown       string // why it is not known
}

func (f finding) enough() bool { return f.unknown == "" && f.have >= f.need }

// What Outpost needs beside vCPUs.
const (
	// A run in flight sends heartbeats and events, and somebody may follow it by a
	// long poll: a quarter of an invocation at once. Dispatch takes ten.
	runsPerInvocation = 4
	dispatch          = 10
	launchesPerSecond = 5 // the scheduler starts one after the other
	bootstrapVersion  = 6 // that the templates ask for
)

// examine asks for everything; what cannot be asked is a finding too.
func examine(ctx context.Context, cfg aws.Config, e environment) []finding {
	vcpus := 0.0
	for _, a := range agent.All() {
		vcpus = max(vcpus, float64(a.CPU)/1024*float64(e.FleetCap))
	}
	findings := []finding{concurrency(ctx, cfg, float64(dispatch+e.FleetCap/runsPerInvocation))}
	fargate := map[string]float64{"Fargate On-Demand vCPU resource count": vcpus, "Fargate On-Demand Sustained Launch Rate": launchesPerSecond}
	if e.SpotFirstAttempts {
		fargate["Fargate Spot vCPU resource count"] = vcpus
		fargate["Fargate Spot Sustained Launch Rate"] = launchesPerSecond
	}
	findings = append(findings, quotas(ctx, cfg, "fargate", fargate)...)
	return append(findings, bootstrapped(ctx, cfg))
}

// concurrency is Lambda's own word: Service Quotas tells the default where a new
// account has less.
func concurrency(ctx context.Context, cfg aws.Config, need float64) finding {
	f := finding{what: "Lambda concurrent executions", need: need, service: "lambda", code: "L-B99A9384"}
	out, err := lambda.NewFromConfig(cfg).GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
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

// quotas finds quotas of a service by their names.
func quotas(ctx context.Context, cfg aws.Config, service string, need map[string]float64) (found []finding) {
	client := servicequotas.NewFromConfig(cfg)
	listed, problem := map[string]types.ServiceQuota{}, "there is no such quota in this region"
	pages := servicequotas.NewListServiceQuotasPaginator(client, &servicequotas.ListServiceQuotasInput{ServiceCode: &service})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			problem = brief(err)
			break
		}
		for _, q := range page.Quotas {
			listed[aws.ToString(q.QuotaName)] = q
		}
	}
	for _, name := range sorted(need) {
		f := finding{what: name, need: need[name], service: service}
		if q, ok := listed[name]; ok && q.Value != nil {
			f.have, f.code = *q.Value, aws.ToString(q.QuotaCode)
		} else {
			f.unknown = problem
		}
		found = append(found, f)
	}
	return found
}

// bootstrapped tells whether the CDK's own stack is there.
func bootstrapped(ctx context.Context, cfg aws.Config) finding {
	f := finding{what: "CDK bootstrap version", need: bootstrapVersion, do: "make bootstrap ENV=…"}
	out, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/cdk-bootstrap/hnb659fds/version")})
	var missing *ssmtypes.ParameterNotFound
	switch {
	case errors.As(err, &missing):
	case err != nil:
		f.unknown = brief(err)
	default:
		if f.have, err = strconv.ParseFloat(aws.ToString(out.Parameter.Value), 64); err != nil {
			f.unknown = "it is not a number"
		}
	}
	return f
}
