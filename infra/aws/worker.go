package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/agent"
	"outpost/shared/topology"
)

// workerStack is where containers run.
type workerStack struct {
	cluster        awsecs.Cluster
	subnets        *[]*string
	securityGroup  awsec2.SecurityGroup
	executionRoles []awsiam.Role
}

// family is the prefix of the task definitions' families.
func (d *deployment) family() string { return d.prefix() + "-worker" }

func newWorker(stack awscdk.Stack, d *deployment) *workerStack {
	s := &workerStack{}
	vpc := s.network(stack, d)
	s.cluster = awsecs.NewCluster(stack, jsii.String("Cluster"), &awsecs.ClusterProps{Vpc: vpc, ClusterName: jsii.String(d.prefix()),
		EnableFargateCapacityProviders: jsii.Bool(true), ContainerInsightsV2: awsecs.ContainerInsights_DISABLED})
	logs := awslogs.NewLogGroup(stack, jsii.String("Logs"), &awslogs.LogGroupProps{LogGroupName: jsii.String("/" + d.prefix() + "/worker"),
		Retention: retention(d.LogRetentionDays), RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	for _, a := range agent.All() {
		s.taskDefinition(stack, d, a, logs)
	}
	return s
}

// network is two public subnets without a way in: nothing in it costs while
// idle. Workers reach the API, git hosts and providers over the internet, S3
// through a gateway endpoint.
func (s *workerStack) network(stack awscdk.Stack, d *deployment) awsec2.Vpc {
	vpc := awsec2.NewVpc(stack, jsii.String("Network"), &awsec2.VpcProps{
		IpAddresses:       awsec2.IpAddresses_Cidr(jsii.String("10.42.0.0/16")),
		AvailabilityZones: jsii.Strings(d.AvailabilityZones...), NatGateways: jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{{Name: jsii.String("public"), SubnetType: awsec2.SubnetType_PUBLIC,
			CidrMask: jsii.Number(20), MapPublicIpOnLaunch: jsii.Bool(false)}},
		GatewayEndpoints: &map[string]*awsec2.GatewayVpcEndpointOptions{
			"S3": {Service: awsec2.GatewayVpcEndpointAwsService_S3()},
		},
		RestrictDefaultSecurityGroup: jsii.Bool(false), // it would take a custom resource; nothing uses that group
	})
	s.subnets = vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PUBLIC}).SubnetIds
	s.securityGroup = awsec2.NewSecurityGroup(stack, jsii.String("WorkerGroup"), &awsec2.SecurityGroupProps{Vpc: vpc,
		Description: jsii.String("Workers: no way in, any way out"), AllowAllOutbound: jsii.Bool(true)})
	return vpc
}

// dropped are the capabilities of a container that the supervisor does not
// need. It keeps CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID and SETUID: to give
// the work tree to the agent's user, to become that user, and to end it.
var dropped = []awsecs.Capability{
	awsecs.Capability_AUDIT_WRITE, awsecs.Capability_FSETID, awsecs.Capability_MKNOD, awsecs.Capability_NET_BIND_SERVICE,
	awsecs.Capability_NET_RAW, awsecs.Capability_SETFCAP, awsecs.Capability_SETPCAP, awsecs.Capability_SYS_CHROOT,
}

// taskDefinition describes an agent's container. It has no task role: a worker
// holds no AWS identity.
func (s *workerStack) taskDefinition(stack awscdk.Stack, d *deployment, a agent.Agent, logs awslogs.LogGroup) {
	image := d.data.images[a.Name]
	role := awsiam.NewRole(stack, jsii.String("ExecutionRole-"+a.Name), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), nil),
		Description: jsii.String("Fetches the image of " + a.Title + " and writes its log"),
	})
	s.executionRoles = append(s.executionRoles, role)
	allow(role, nil, []string{"ecr:GetAuthorizationToken"}, "*")
	allow(role, nil, []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"}, *image.RepositoryArn())
	allow(role, nil, []string{"logs:CreateLogStream", "logs:PutLogEvents"}, *logs.LogGroupArn())

	// What a run writes; and /tmp, for programs that insist on it.
	work, tmp := "work", "tmp"
	family := topology.TaskFamily(d.family(), a.Name)
	// The lower construct: the higher one always makes a task role.
	definition := awsecs.NewCfnTaskDefinition(stack, jsii.String("Task-"+a.Name), &awsecs.CfnTaskDefinitionProps{
		Family: jsii.String(family), NetworkMode: jsii.String("awsvpc"), RequiresCompatibilities: jsii.Strings("FARGATE"),
		Cpu: number(a.CPU), Memory: number(a.MemoryMB), ExecutionRoleArn: role.RoleArn(),
		RuntimePlatform: &awsecs.CfnTaskDefinition_RuntimePlatformProperty{CpuArchitecture: jsii.String("X86_64"), OperatingSystemFamily: jsii.String("LINUX")},
		Volumes:         []any{&awsecs.CfnTaskDefinition_VolumeProperty{Name: &work}, &awsecs.CfnTaskDefinition_VolumeProperty{Name: &tmp}},
		ContainerDefinitions: []any{&awsecs.CfnTaskDefinition_ContainerDefinitionProperty{
			Name: jsii.String(topology.Worker.Container), Image: image.RepositoryUriForTag(jsii.String(d.ImageTag)), Essential: jsii.Bool(true),
			ReadonlyRootFilesystem: jsii.Bool(true), User: jsii.String("root"),
			StopTimeout: jsii.Number(topology.Worker.StopTimeout.Seconds()),
			MountPoints: []any{
				&awsecs.CfnTaskDefinition_MountPointProperty{SourceVolume: &work, ContainerPath: jsii.String("/work"), ReadOnly: jsii.Bool(false)},
				&awsecs.CfnTaskDefinition_MountPointProperty{SourceVolume: &tmp, ContainerPath: jsii.String("/tmp"), ReadOnly: jsii.Bool(false)},
			},
			LinuxParameters: &awsecs.CfnTaskDefinition_LinuxParametersProperty{InitProcessEnabled: jsii.Bool(true),
				Capabilities: &awsecs.CfnTaskDefinition_KernelCapabilitiesProperty{Drop: capabilities()}},
			LogConfiguration: &awsecs.CfnTaskDefinition_LogConfigurationProperty{LogDriver: jsii.String("awslogs"), Options: &map[string]*string{
				"awslogs-group": logs.LogGroupName(), "awslogs-region": stack.Region(), "awslogs-stream-prefix": jsii.String(a.Name),
				"mode": jsii.String("non-blocking"), "max-buffer-size": jsii.String("4m")}},
		}},
	})
	definition.Node().AddDependency(role)
}

func capabilities() *[]*string {
	var names []string
	for _, c := range dropped {
		names = append(names, string(c))
	}
	return jsii.Strings(names...)
}
