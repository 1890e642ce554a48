package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/topology"
	"outpost/shared/workflow"
)

// dispatchStack starts runs, launches their containers and ends them.
type dispatchStack struct {
	queues    []*queue
	machine   awsstepfunctions.CfnStateMachine
	functions map[string]awslambda.Function
}

func newDispatch(stack awscdk.Stack, d *deployment) *dispatchStack {
	s := &dispatchStack{functions: map[string]awslambda.Function{}}
	function := func(name string) awslambda.Function {
		if s.functions[name] == nil {
			s.functions[name] = d.function(stack, name)
		}
		return s.functions[name]
	}
	for _, q := range topology.Queues {
		s.queues = append(s.queues, d.queue(stack, q, function(q.Consumer)))
	}
	for _, sch := range topology.Schedules {
		awsevents.NewRule(stack, jsii.String("Schedule-"+sch.Name), &awsevents.RuleProps{
			RuleName: jsii.String(d.prefix() + "-" + sch.Name), Schedule: awsevents.Schedule_Rate(awscdk.Duration_Seconds(jsii.Number(sch.Every.Seconds()))),
			// The next one comes soon: an old one is not worth another try.
			Targets: &[]awsevents.IRuleTarget{awseventstargets.NewLambdaFunction(function(sch.Function), &awseventstargets.LambdaFunctionProps{
				MaxEventAge: awscdk.Duration_Seconds(jsii.Number(max(60, sch.Every.Seconds()))), RetryAttempts: jsii.Number(0)})},
		})
	}
	for _, e := range topology.EventRules {
		awsevents.NewRule(stack, jsii.String("Event-"+e.Name), &awsevents.RuleProps{
			RuleName: jsii.String(d.prefix() + "-" + e.Name),
			EventPattern: &awsevents.EventPattern{Source: jsii.Strings(e.Source), DetailType: jsii.Strings(e.DetailType), Detail: &map[string]any{
				"lastStatus": []string{e.LastStatus}, "clusterArn": []string{d.arn(stack, "ecs", "cluster/"+d.prefix())}}},
			Targets: &[]awsevents.IRuleTarget{awseventstargets.NewLambdaFunction(function(e.Function), nil)},
		})
	}
	s.stateMachine(stack, d, function)
	return s
}

func (d *deployment) workflowName() string { return d.prefix() + "-run" }

func (d *deployment) workflowARN(scope constructs.Construct) string {
	return d.arn(scope, "states", "stateMachine:"+d.workflowName())
}

// stateMachine is the machine of shared/workflow, with the functions' ARNs in
// place of its placeholders. Only errors are logged, and never what is passed
// around: it holds task tokens. The lower construct: the higher one's role may
// do more.
func (s *dispatchStack) stateMachine(stack awscdk.Stack, d *deployment, function func(string) awslambda.Function) {
	logs := awslogs.NewLogGroup(stack, jsii.String("WorkflowLog"), &awslogs.LogGroupProps{
		LogGroupName: jsii.String("/aws/vendedlogs/states/" + d.workflowName()), // this prefix needs no policy of its own for each machine
		Retention:    retention(d.LogRetentionDays), RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	role := awsiam.NewRole(stack, jsii.String("WorkflowRole"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("states.amazonaws.com"), nil), Description: jsii.String("Invokes launch and settle")})
	substitutions, arns := map[string]any{}, []string{}
	for _, placeholder := range slices.Sorted(maps.Keys(workflow.Placeholders)) {
		f := function(workflow.Placeholders[placeholder])
		substitutions[placeholder] = *f.FunctionArn()
		arns = append(arns, *f.FunctionArn())
	}
	allow(role, nil, []string{"lambda:InvokeFunction"}, arns...)
	allow(role, nil, []string{"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
		"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"}, "*")
	s.machine = awsstepfunctions.NewCfnStateMachine(stack, jsii.String("Workflow"), &awsstepfunctions.CfnStateMachineProps{
		StateMachineName: jsii.String(d.workflowName()), StateMachineType: jsii.String("STANDARD"), RoleArn: role.RoleArn(),
		DefinitionString: jsii.String(workflow.Definition), DefinitionSubstitutions: &substitutions,
		LoggingConfiguration: &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{Level: jsii.String("ERROR"), IncludeExecutionData: jsii.Bool(false),
			Destinations: []any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
				CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{LogGroupArn: logs.LogGroupArn()}}}},
	})
	s.machine.Node().AddDependency(role)
}
