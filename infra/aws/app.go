package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Assets are what was built before synthesis (make build-aws).
type Assets struct {
	Functions string // folder with a folder a function, each with its bootstrap
	ImageTag  string // of the workers' images, from what they are built of
}

// deployment is the stacks of one environment. Each is split off by how long it
// lives: data outlives everything, the others come and go.
type deployment struct {
	Environment
	Assets

	data       *dataStack
	worker     *workerStack
	api        *apiStack
	dispatch   *dispatchStack
	monitoring *monitoringStack
	alarms     []awscloudwatch.Alarm
}

// deploy adds the stacks of an environment to an app.
func deploy(app awscdk.App, e Environment, a Assets) *deployment {
	d := &deployment{Environment: e, Assets: a}
	d.data = newData(d.stack(app, "data", "Outpost's data: table, artifacts, key, platform secret, images."), d)
	d.worker = newWorker(d.stack(app, "worker", "Outpost's workers: network, cluster, task definitions."), d)
	d.api = newAPI(d.stack(app, "api", "Outpost's API: routes, authorizers, a function a route."), d)
	d.dispatch = newDispatch(d.stack(app, "dispatch", "Outpost's dispatch: queue, scheduler, state machine, reaper."), d)
	d.monitoring = newMonitoring(d.stack(app, "monitoring", "Outpost's dashboard and alarms."), d)
	for _, c := range *app.Node().Children() {
		if stack, ok := c.(awscdk.Stack); ok {
			except(stack)
		}
	}
	awscdk.Tags_Of(app).Add(jsii.String("outpost:environment"), jsii.String(e.Name), nil)
	return d
}

// stack makes a stack, named after the environment and its part.
func (d *deployment) stack(app awscdk.App, part, description string) awscdk.Stack {
	env := &awscdk.Environment{Region: jsii.String(d.Region)}
	if d.Account != "" {
		env.Account = jsii.String(d.Account)
	}
	return awscdk.NewStack(app, jsii.String(d.prefix()+"-"+part), &awscdk.StackProps{
		Env: env, Description: jsii.String(description), TerminationProtection: jsii.Bool(d.KeepData && part == "data"),
	})
}

// arn is the ARN of something in this account and region that has a name of
// its own, so that stacks may refer to it without waiting for each other.
func (d *deployment) arn(scope constructs.Construct, service, resource string) string {
	s := awscdk.Stack_Of(scope)
	return "arn:aws:" + service + ":" + *s.Region() + ":" + *s.Account() + ":" + resource
}

// removal is what happens to data when its stack goes.
func (d *deployment) removal() awscdk.RemovalPolicy {
	if d.KeepData {
		return awscdk.RemovalPolicy_RETAIN
	}
	return awscdk.RemovalPolicy_DESTROY
}
