package main

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/topology"
)

// function makes a Lambda function as the topology describes it, with a role
// and a log group of its own.
func (d *deployment) function(stack awscdk.Stack, name string) awslambda.Function {
	f, ok := topology.FunctionByName(name)
	if !ok {
		panic("no function " + name)
	}
	f = f.Of(d.SecretStore)
	scope := constructs.NewConstruct(stack, jsii.String("Function-"+d.short(f)))
	full := d.functionName(f)
	logs := awslogs.NewLogGroup(scope, jsii.String("Logs"), &awslogs.LogGroupProps{LogGroupName: jsii.String("/aws/lambda/" + full),
		Retention: retention(d.LogRetentionDays), RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	environment := map[string]*string{"AWS_SDK_UA_APP_ID": jsii.String(strings.ReplaceAll(f.Name, "/", "-"))}
	for _, name := range f.Env() {
		if v := d.value(scope, name); v != "" {
			environment[name] = jsii.String(v)
		}
	}
	props := &awslambda.FunctionProps{
		FunctionName: jsii.String(full), Description: jsii.String(f.Purpose),
		Runtime: awslambda.Runtime_PROVIDED_AL2023(), Architecture: awslambda.Architecture_ARM_64(), Handler: jsii.String("bootstrap"),
		Code:    awslambda.Code_FromAsset(jsii.String(filepath.Join(d.Functions, path.Base(f.Name))), nil),
		Timeout: awscdk.Duration_Seconds(jsii.Number(f.Timeout.Seconds())), MemorySize: jsii.Number(f.MemoryMB),
		Environment: &environment, Role: d.roleOf(scope, f, logs), LogGroup: logs,
	}
	if n := d.ReservedConcurrency[f.Name]; n > 0 {
		props.ReservedConcurrentExecutions = jsii.Number(n)
	}
	return awslambda.NewFunction(scope, jsii.String("Function"), props)
}

// short is a function's name without slashes.
func (d *deployment) short(f topology.Function) string { return strings.ReplaceAll(f.Name, "/", "-") }

// functionName is the name that operators see.
func (d *deployment) functionName(f topology.Function) string { return d.prefix() + "-" + d.short(f) }

func number(n int) *string { return jsii.String(strconv.Itoa(n)) }

// joined is a list of tokens as one value.
func joined(list *[]*string) string {
	var parts []string
	for _, s := range *list {
		parts = append(parts, *s)
	}
	return strings.Join(parts, ",")
}

// retention is a number of days as CloudWatch Logs names it.
func retention(days int) awslogs.RetentionDays {
	return map[int]awslogs.RetentionDays{
		1: awslogs.RetentionDays_ONE_DAY, 3: awslogs.RetentionDays_THREE_DAYS, 5: awslogs.RetentionDays_FIVE_DAYS,
		7: awslogs.RetentionDays_ONE_WEEK, 14: awslogs.RetentionDays_TWO_WEEKS, 30: awslogs.RetentionDays_ONE_MONTH,
		60: awslogs.RetentionDays_TWO_MONTHS, 90: awslogs.RetentionDays_THREE_MONTHS, 120: awslogs.RetentionDays_FOUR_MONTHS,
		150: awslogs.RetentionDays_FIVE_MONTHS, 180: awslogs.RetentionDays_SIX_MONTHS, 365: awslogs.RetentionDays_ONE_YEAR,
	}[days]
}
