package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"outpost/shared/artifact"
	"outpost/shared/metric"
	"outpost/shared/topology"
)

// invariants hold for every resource of a type; a type that is not here fails
// the test, so that a new one is thought about.
var invariants = map[string]func(c cloud, e Environment, r resource) []string{
	"AWS::DynamoDB::Table": func(c cloud, e Environment, r resource) []string {
		return wrong(
			r.get("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") == true, "no point-in-time recovery",
			r.get("BillingMode") == "PAY_PER_REQUEST", "capacity that costs while idle",
			(r.get("DeletionProtectionEnabled") == true) == e.KeepData, "deletion protection is not as keep_data says",
			kept(r) == e.KeepData, "kept is not as keep_data says")
	},
	"AWS::S3::Bucket": func(c cloud, e Environment, r resource) []string {
		b := r.get("PublicAccessBlockConfiguration")
		return wrong(
			dig(b, "BlockPublicAcls") == true && dig(b, "BlockPublicPolicy") == true && dig(b, "IgnorePublicAcls") == true && dig(b, "RestrictPublicBuckets") == true, "public access",
			r.get("BucketEncryption") != nil, "no encryption",
			len(list(r.get("LifecycleConfiguration", "Rules"))) > 0, "nothing is ever deleted",
			!slices.ContainsFunc(list(r.get("LifecycleConfiguration", "Rules")), func(rule any) bool {
				prefix, _ := dig(rule, "Prefix").(string)
				return dig(rule, "AbortIncompleteMultipartUpload") == nil && strings.HasPrefix(artifact.AuditPrefix+"/", prefix)
			}), "the exported audit trail is deleted some day",
			r.get("VersioningConfiguration") == nil, "old versions of objects, which stay when a tenant's data are removed",
			kept(r) == e.KeepData, "kept is not as keep_data says")
	},
	"AWS::S3::BucketPolicy":  deniesPlainHTTP,
	"AWS::SQS::QueuePolicy":  deniesPlainHTTP,
	"AWS::SNS::TopicPolicy":  deniesPlainHTTP,
	"AWS::SNS::Subscription": nothing,
	"AWS::SNS::Topic":        nothing,
	"AWS::KMS::Key": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("EnableKeyRotation") == true, "no rotation", kept(r) == e.KeepData, "kept is not as keep_data says")
	},
	"AWS::SecretsManager::Secret": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("SecretString") == nil, "its value stands in the template", r.get("GenerateSecretString") != nil, "nobody makes its value",
			kept(r) == e.KeepData, "kept is not as keep_data says")
	},
	"AWS::ECR::Repository": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("ImageScanningConfiguration", "ScanOnPush") == true, "images are not scanned", r.get("ImageTagMutability") == "IMMUTABLE", "tags move",
			strings.Contains(fmt.Sprint(r.get("LifecyclePolicy", "LifecyclePolicyText")), `"countNumber":2`), "not two images are kept")
	},
	"AWS::Lambda::Function": func(c cloud, e Environment, r resource) []string {
		reserved := ""
		for name := range e.ReservedConcurrency {
			reserved += " " + name
		}
		return wrong(
			r.get("Runtime") == "provided.al2023" && fmt.Sprint(r.get("Architectures")) == "[arm64]", "another runtime",
			r.get("LoggingConfig", "LogGroup") != nil, "a log group that nobody bounds",
			r.get("ReservedConcurrentExecutions") == nil || reserved != "", "reserved concurrency that no setting asked for",
			r.get("Role") != nil, "no role")
	},
	"AWS::Lambda::Permission": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("SourceArn") != nil, "any source may invoke")
	},
	"AWS::Lambda::EventSourceMapping": nothing,
	"AWS::Logs::LogGroup": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("RetentionInDays") == float64(e.LogRetentionDays), "another retention than log_retention_days")
	},
	"AWS::IAM::Role":   nothing, // permissions_test.go
	"AWS::IAM::Policy": nothing,
	"AWS::SQS::Queue": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("SqsManagedSseEnabled") == true, "no encryption",
			r.get("RedrivePolicy") != nil || r.get("MessageRetentionPeriod") == float64(deadLetterDays*24*3600), "dead letters are lost early")
	},
	"AWS::CloudWatch::Alarm": func(c cloud, e Environment, r resource) []string {
		return wrong(len(list(r.get("AlarmActions"))) > 0, "tells nobody")
	},
	"AWS::CloudWatch::Dashboard": nothing,
	"AWS::Events::Rule":          nothing,
	"AWS::StepFunctions::StateMachine": func(c cloud, e Environment, r resource) []string {
		l := r.get("LoggingConfiguration")
		return wrong(dig(l, "Level") == "ERROR", "logs more than errors", dig(l, "IncludeExecutionData") == false, "task tokens in the log",
			r.get("StateMachineType") == "STANDARD", "not durable")
	},
	"AWS::ApiGatewayV2::Api":         nothing,
	"AWS::ApiGatewayV2::ApiMapping":  nothing,
	"AWS::ApiGatewayV2::DomainName":  nothing,
	"AWS::ApiGatewayV2::Integration": nothing,
	"AWS::ApiGatewayV2::Authorizer": func(c cloud, e Environment, r resource) []string {
		ttl := float64(0)
		if c.named(e, c.text(r.stack, r.get("AuthorizerUri"))) == string(topology.ByAPIKey) {
			ttl = topology.CacheTime.Seconds()
		}
		return wrong(r.get("EnableSimpleResponses") == true && r.get("AuthorizerPayloadFormatVersion") == "2.0", "another format",
			r.get("AuthorizerResultTtlInSeconds") == ttl, "answers are kept for another time",
			fmt.Sprint(r.get("IdentitySource")) == "[$request.header.Authorization]", "another identity")
	},
	"AWS::ApiGatewayV2::Route": func(c cloud, e Environment, r resource) []string {
		for _, route := range topology.Routes {
			if route.Method+" "+route.Path == r.get("RouteKey") {
				return wrong((r.get("AuthorizationType") == "CUSTOM") == (route.Authorizer != topology.Open), "open to all, or closed to all")
			}
		}
		return []string{"not in the topology"}
	},
	"AWS::ApiGatewayV2::Stage": func(c cloud, e Environment, r resource) []string {
		format := fmt.Sprint(r.get("AccessLogSettings", "Format"))
		settings, _ := r.get("RouteSettings").(map[string]any)
		return wrong(len(settings) == len(topology.Routes), "a route without throttle",
			r.get("AccessLogSettings", "DestinationArn") != nil, "no access log",
			!strings.Contains(strings.ToLower(format), "header") && !strings.Contains(format, "$context.path") && !strings.Contains(format, "query"), "an access log that may hold secrets")
	},
	"AWS::EC2::VPC": nothing, "AWS::EC2::Route": nothing, "AWS::EC2::RouteTable": nothing, "AWS::EC2::SubnetRouteTableAssociation": nothing,
	"AWS::EC2::InternetGateway": nothing, "AWS::EC2::VPCGatewayAttachment": nothing,
	"AWS::EC2::Subnet": func(c cloud, e Environment, r resource) []string {
		return wrong(slices.Contains(e.AvailabilityZones, fmt.Sprint(r.get("AvailabilityZone"))), "a zone that was looked up")
	},
	"AWS::EC2::VPCEndpoint": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("VpcEndpointType") == "Gateway", "an endpoint that costs while idle")
	},
	"AWS::EC2::SecurityGroup": func(c cloud, e Environment, r resource) []string {
		return wrong(r.get("SecurityGroupIngress") == nil, "a way in")
	},
	"AWS::ECS::Cluster": nothing,
	"AWS::ECS::ClusterCapacityProviderAssociations": func(c cloud, e Environment, r resource) []string {
		return wrong(fmt.Sprint(r.get("CapacityProviders")) == "[FARGATE FARGATE_SPOT]", "not both of the providers that launch names")
	},
	"AWS::ECS::TaskDefinition": func(c cloud, e Environment, r resource) []string {
		problems := wrong(r.get("TaskRoleArn") == nil, "an AWS identity for the worker", r.get("ExecutionRoleArn") != nil, "no execution role",
			r.get("RuntimePlatform", "CpuArchitecture") == "X86_64", "another architecture")
		for _, k := range list(r.get("ContainerDefinitions")) {
			drop := list(dig(k, "LinuxParameters", "Capabilities", "Drop"))
			problems = append(problems, wrong(dig(k, "ReadonlyRootFilesystem") == true, "a writable root", dig(k, "Privileged") == nil, "privileged",
				dig(k, "Environment") == nil && dig(k, "Secrets") == nil, "an environment that an agent can read",
				len(drop) == len(dropped), "capabilities that it does not need",
				dig(k, "StopTimeout") == topology.Worker.StopTimeout.Seconds(), "another time to stop",
				!strings.HasSuffix(c.text(r.stack, dig(k, "Image")), ":latest"), "an image that moves")...)
		}
		return problems
	},
}

func nothing(cloud, Environment, resource) []string { return nil }

func deniesPlainHTTP(c cloud, e Environment, r resource) []string {
	for _, s := range list(r.get("PolicyDocument", "Statement")) {
		if dig(s, "Effect") == "Deny" && dig(s, "Condition", "Bool", "aws:SecureTransport") == "false" {
			return nil
		}
	}
	return []string{"plain HTTP is not refused"}
}

// wrong lists the sentences behind what does not hold: pairs of both.
func wrong(pairs ...any) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		if !pairs[i].(bool) {
			out = append(out, pairs[i+1].(string))
		}
	}
	return out
}

func kept(r resource) bool {
	return r.DeletionPolicy == "Retain" && r.UpdateReplacePolicy == "Retain"
}

func TestEveryResourceKeepsTheRules(t *testing.T) {
	for _, name := range names {
		c, e := clouds[name], environment(name)
		for _, r := range c.all("") {
			rule, ok := invariants[r.Type]
			if !ok {
				t.Errorf("%s: %s is a %s, which no rule is for", name, r, r.Type)
				continue
			}
			for _, problem := range rule(c, e, r) {
				t.Errorf("%s: %s: %s", name, r, problem)
			}
		}
	}
}

// What costs while nobody uses it is counted here.
func TestIdleCostsNextToNothing(t *testing.T) {
	for _, name := range names {
		c := clouds[name]
		for kind, most := range map[string]int{
			"AWS::KMS::Key": 1, "AWS::SecretsManager::Secret": 1, "AWS::CloudWatch::Dashboard": 1, "AWS::CloudWatch::Alarm": 18,
			"AWS::EC2::NatGateway": 0, "AWS::ElasticLoadBalancingV2::LoadBalancer": 0, "AWS::ECS::Service": 0, "AWS::EC2::EIP": 0,
			"AWS::Lambda::EventSourceMapping": 3,
		} {
			if n := len(c.all(kind)); n > most {
				t.Errorf("%s: %d of %s, at most %d", name, n, kind, most)
			}
		}
	}
	watched := 0
	for _, a := range clouds["prod"].all("AWS::CloudWatch::Alarm") {
		watched++
		for _, m := range list(a.get("Metrics")) {
			if dig(m, "MetricStat") != nil {
				watched++
			}
		}
		if a.get("Metrics") != nil {
			watched--
		}
	}
	if watched != 20 { // what infra/aws/cost takes it to be
		t.Errorf("alarms watch %d metrics, each of which costs", watched)
	}
	if len(metric.All) > 11 {
		t.Errorf("%d custom metrics", len(metric.All))
	}
}
