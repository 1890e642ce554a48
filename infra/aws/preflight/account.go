package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// identifier tells who asks.
type identifier interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// functionSettings tells Lambda's own limits.
type functionSettings interface {
	GetAccountSettings(context.Context, *lambda.GetAccountSettingsInput, ...func(*lambda.Options)) (*lambda.GetAccountSettingsOutput, error)
}

// parameters reads what the CDK's bootstrap left behind.
type parameters interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// account is one AWS account in one region, a call a field.
type account struct {
	credentials aws.CredentialsProvider
	identity    identifier
	lambda      functionSettings
	parameters  parameters
	applied     servicequotas.ListServiceQuotasAPIClient
	standard    servicequotas.ListAWSDefaultServiceQuotasAPIClient
	tables      dynamodb.ListTablesAPIClient
}

func newAccount(cfg aws.Config) account {
	quotas := servicequotas.NewFromConfig(cfg)
	return account{cfg.Credentials, sts.NewFromConfig(cfg), lambda.NewFromConfig(cfg), ssm.NewFromConfig(cfg), quotas, quotas, dynamodb.NewFromConfig(cfg)}
}

type who struct{ account, arn string }

// identify tells who asks, and refuses another account than the settings name.
func (a account) identify(ctx context.Context, e environment) (who, error) {
	if _, err := a.credentials.Retrieve(ctx); err != nil {
		return who{}, fmt.Errorf("there are no AWS credentials here, or they have expired: sign in, or name a profile in AWS_PROFILE (%s)", brief(err))
	}
	out, err := a.identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return who{}, fmt.Errorf("AWS does not say whose credentials these are: %s", brief(err))
	}
	w := who{aws.ToString(out.Account), aws.ToString(out.Arn)}
	if e.Account != "" && e.Account != w.account {
		return who{}, fmt.Errorf("the credentials are for account %s, the settings for %s", w.account, e.Account)
	}
	return w, nil
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
