package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/agent"
	"outpost/shared/artifact"
	"outpost/shared/topology"
)

// allow adds a statement to a role's own policy.
func allow(role awsiam.Role, conditions map[string]any, actions []string, resources ...string) {
	props := &awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: jsii.Strings(resources...)}
	if len(conditions) > 0 {
		props.Conditions = &conditions
	}
	role.AddToPolicy(awsiam.NewPolicyStatement(props))
}

// condition is a condition of a statement with one value or several.
func condition(operator, key string, values ...string) map[string]any {
	return map[string]any{operator: map[string]any{key: jsii.Strings(values...)}}
}

// roleOf makes a function's own role: its log, and what the topology says it
// does.
func (d *deployment) roleOf(scope constructs.Construct, f topology.Function, logs awslogs.LogGroup) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil), Description: jsii.String(f.Name + ": " + f.Purpose)})
	allow(role, nil, []string{"logs:CreateLogStream", "logs:PutLogEvents"}, *logs.LogGroupArn()) // which ends in :*
	for _, use := range f.Uses {
		byResource := map[topology.Resource][]string{}
		for _, p := range use.Permissions() {
			byResource[p.Resource] = append(byResource[p.Resource], p.Action)
		}
		for _, p := range use.Permissions() { // in the topology's order, each resource once
			if actions := byResource[p.Resource]; actions != nil {
				allow(role, d.conditions(scope, p.Resource), actions, d.arns(scope, p.Resource)...)
				delete(byResource, p.Resource)
			}
		}
		if use.Resource == topology.Cluster && slices.Contains(use.Access, topology.Run) {
			d.passExecutionRoles(role)
		}
	}
	return role
}

// passExecutionRoles lets RunTask hand the task definitions' roles to ECS.
func (d *deployment) passExecutionRoles(role awsiam.Role) {
	var arns []string
	for _, r := range d.worker.executionRoles {
		arns = append(arns, *r.RoleArn())
	}
	allow(role, condition("StringEquals", "iam:PassedToService", "ecs-tasks.amazonaws.com"), []string{"iam:PassRole"}, arns...)
}

// arns are the ARNs of a kind of resource.
func (d *deployment) arns(scope constructs.Construct, r topology.Resource) []string {
	if index, ok := strings.CutPrefix(string(r), string(topology.Table)+"/index/"); ok {
		return []string{*d.data.table.TableArn() + "/index/" + index}
	}
	if queue, ok := strings.CutPrefix(string(r), "queue/"); ok {
		return []string{d.arn(scope, "sqs", d.queueName(queue))}
	}
	switch r {
	case topology.Table:
		return []string{*d.data.table.TableArn()}
	case topology.Bucket:
		var arns []string
		for _, k := range artifact.Kinds {
			arns = append(arns, *d.data.bucket.BucketArn()+"/"+k.Prefix+"/*")
		}
		return arns
	case topology.BucketKeys:
		return []string{*d.data.bucket.BucketArn()}
	case topology.AuditObjects:
		return []string{*d.data.bucket.BucketArn() + "/" + artifact.AuditPrefix + "/*"}
	case topology.Key:
		return []string{*d.data.key.KeyArn()}
	case topology.PlatformSecret:
		return []string{*d.data.platform.SecretArn()}
	case topology.TenantSecrets: // a name's ARN ends in six letters that are made with it
		return []string{d.arn(scope, "secretsmanager", "secret:"+d.tenantSecrets()+"*")}
	case topology.Workflow:
		return []string{d.workflowARN(scope)}
	case topology.Executions:
		return []string{d.arn(scope, "states", "execution:"+d.workflowName()+":*")}
	case topology.TaskDefinitions:
		var arns []string
		for _, a := range agent.Names() { // of every revision
			arns = append(arns, d.arn(scope, "ecs", "task-definition/"+topology.TaskFamily(d.family(), a)+":*"))
		}
		return arns
	case topology.Containers:
		return []string{d.arn(scope, "ecs", "task/"+d.prefix()+"/*")}
	}
	panic(fmt.Sprintf("infra/aws does not know the resource %s", r))
}

// tenantSecrets begins the names of tenants' secrets in Secrets Manager.
func (d *deployment) tenantSecrets() string { return d.prefix() + "/tenants/" }

// conditions narrow what ARNs cannot.
func (d *deployment) conditions(scope constructs.Construct, r topology.Resource) map[string]any {
	switch r {
	case topology.BucketKeys:
		var prefixes []string
		for _, k := range artifact.Kinds {
			prefixes = append(prefixes, k.Prefix+"/*")
		}
		return condition("StringLike", "s3:prefix", prefixes...)
	case topology.TaskDefinitions, topology.Containers:
		return condition("ArnEquals", "ecs:cluster", d.arn(scope, "ecs", "cluster/"+d.prefix()))
	}
	return nil
}

// value is what an environment variable of a function holds.
func (d *deployment) value(scope constructs.Construct, name string) string {
	if queue, ok := strings.CutPrefix(name, topology.EnvQueue("")); ok {
		for _, q := range topology.Queues {
			for _, n := range []string{q.Name, topology.DeadLetterName(q.Name)} {
				if topology.EnvQueue(n) == topology.EnvQueue("")+queue {
					return d.queueURL(scope, n)
				}
			}
		}
	}
	switch name {
	case topology.EnvTable:
		return *d.data.table.TableName()
	case topology.EnvBucket:
		return *d.data.bucket.BucketName()
	case topology.EnvKey:
		return *d.data.key.KeyArn()
	case topology.EnvPlatformSecret:
		return *d.data.platform.SecretArn()
	case topology.EnvTenantSecrets:
		return d.tenantSecrets()
	case topology.EnvWorkflow:
		return d.workflowARN(scope)
	case topology.EnvCluster:
		return *d.worker.cluster.ClusterArn()
	case topology.EnvTaskFamily:
		return d.family()
	case topology.EnvSubnets:
		return joined(d.worker.subnets)
	case topology.EnvSecurityGroups:
		return *d.worker.securityGroup.SecurityGroupId()
	case "OUTPOST_API_URL":
		return d.api.url
	case "OUTPOST_METRICS_NAMESPACE":
		return d.namespace()
	case "OUTPOST_FLEET_CAP":
		return strconv.Itoa(d.FleetCap)
	case "OUTPOST_STRIPE_PRICES":
		return d.StripePrices
	case "OUTPOST_RETURN_URLS":
		return strings.Join(d.ReturnURLs, ",")
	case "OUTPOST_STRIPE_LIVE":
		return strconv.FormatBool(d.StripeLive)
	case "OUTPOST_SECRET_STORE":
		return string(d.SecretStore)
	case "OUTPOST_SPOT":
		return strconv.FormatBool(d.SpotFirstAttempts)
	}
	if s, ok := topology.SettingByName(name); ok {
		return s.Default
	}
	panic(fmt.Sprintf("infra/aws does not know the variable %s", name))
}
