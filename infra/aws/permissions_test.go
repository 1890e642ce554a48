package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"outpost/shared/artifact"
	"outpost/shared/topology"
)

// evidence is what the local target saw each function do, a line each.
const evidence = "../local/stack/testdata/permissions.txt"

// evidenceOfOther is the same of the functions that differ by where tenants'
// secrets are, with the other store.
const evidenceOfOther = "../local/stack/testdata/permissions-secretsmanager.txt"

// besides are permissions that the local target cannot see used, with reasons.
// A function's name of * stands for each.
var besides = map[string]string{
	"* logs:CreateLogStream":                  "Lambda writes the function's log under its role",
	"* logs:PutLogEvents":                     "Lambda writes the function's log under its role",
	"workflow/launch iam:PassRole":            "RunTask hands the execution roles to ECS",
	"scheduler sqs:ReceiveMessage":            "Lambda polls the queue under the consumer's role",
	"scheduler sqs:DeleteMessage":             "Lambda polls the queue under the consumer's role",
	"scheduler sqs:ChangeMessageVisibility":   "Lambda polls the queue under the consumer's role",
	"scheduler sqs:GetQueueUrl":               "Lambda polls the queue under the consumer's role",
	"scheduler sqs:GetQueueAttributes":        "Lambda polls the queue under the consumer's role",
	"stripe/sync sqs:ReceiveMessage":          "as scheduler",
	"stripe/sync sqs:DeleteMessage":           "as scheduler",
	"stripe/sync sqs:ChangeMessageVisibility": "as scheduler",
	"stripe/sync sqs:GetQueueUrl":             "as scheduler",
	"stripe/sync sqs:GetQueueAttributes":      "as scheduler",
	"api/list-artifacts s3:GetObject":         "whoever has the URL that it signs reads under its role",
	"api/list-audit-exports s3:GetObject":     "as api/list-artifacts",
	"runner/uploads s3:PutObject":             "whoever has the URL that it signs writes under its role",
	"api/create-tenant dynamodb:GetItem":      "after a lost answer it looks whether the tenant there is its own: the test is in shared/table",
	"reaper dynamodb:UpdateItem":              "it settles a run whose execution has closed: the test is in functions/reaper",
}

// kind is the topology's word for what a resource of a policy names.
func (c cloud) kind(e Environment, text string) topology.Resource {
	r, attribute, rest := c.target(text)
	switch {
	case r.Type == "AWS::DynamoDB::Table" && attribute == "Arn" && rest == "":
		return topology.Table
	case r.Type == "AWS::DynamoDB::Table" && strings.HasPrefix(rest, "/index/") && !strings.Contains(rest, "*"):
		return topology.TableIndex(strings.TrimPrefix(rest, "/index/"))
	case r.Type == "AWS::S3::Bucket" && slices.ContainsFunc(artifact.Kinds, func(k artifact.Kind) bool { return rest == "/"+k.Prefix+"/*" }):
		return topology.Bucket
	case r.Type == "AWS::S3::Bucket" && rest == "":
		return topology.BucketKeys
	case r.Type == "AWS::S3::Bucket" && rest == "/audit/*":
		return topology.AuditObjects
	case r.Type == "AWS::KMS::Key" && rest == "":
		return topology.Key
	case r.Type == "AWS::SecretsManager::Secret" && rest == "":
		return topology.PlatformSecret
	case r.Type == "AWS::SQS::Queue" && rest == "":
		return topology.Queue(strings.TrimSuffix(strings.TrimPrefix(r.get("QueueName").(string), e.prefix()+"-"), ".fifo"))
	}
	text = strings.ReplaceAll(text, "${AWS::AccountId}", "ACCOUNT")
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return topology.Resource(text)
	}
	service, name := parts[2], parts[5]
	switch {
	case service == "sqs":
		return topology.Queue(strings.TrimSuffix(strings.TrimPrefix(name, e.prefix()+"-"), ".fifo"))
	case text == "arn:aws:secretsmanager:"+e.Region+":ACCOUNT:secret:"+e.prefix()+"/tenants/*":
		return topology.TenantSecrets
	case text == "arn:aws:states:"+e.Region+":ACCOUNT:stateMachine:"+e.prefix()+"-run":
		return topology.Workflow
	case text == "arn:aws:states:"+e.Region+":ACCOUNT:execution:"+e.prefix()+"-run:*":
		return topology.Executions
	case service == "ecs" && strings.HasPrefix(name, "task-definition/"+e.prefix()+"-worker-") && strings.HasSuffix(name, ":*"):
		return topology.TaskDefinitions
	case service == "ecs" && name == "task/"+e.prefix()+"/*":
		return topology.Containers
	}
	return topology.Resource(text)
}

// statements lists what each role may do: a role's reference, then its
// statements.
func (c cloud) statements() map[string][]any {
	found := map[string][]any{}
	for _, p := range c.all("AWS::IAM::Policy") {
		for _, role := range list(p.get("Roles")) {
			ref := c.text(p.stack, role)
			for _, s := range list(p.get("PolicyDocument", "Statement")) {
				s.(map[string]any)["stack"] = p.stack
				found[ref] = append(found[ref], s)
			}
		}
	}
	return found
}

// What a function's role allows is what it was seen to do, and nothing else but
// what besides says; each way.
func TestRolesAllowWhatFunctionsWereSeenToDo(t *testing.T) {
	raw, err := os.ReadFile(evidence)
	if err != nil {
		t.Fatal(err)
	}
	seenOfFirst, seenOfOther := map[string]bool{}, map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		seenOfFirst[line] = true
	}
	other, err := os.ReadFile(evidenceOfOther)
	if err != nil {
		t.Fatal(err)
	}
	for line := range seenOfFirst {
		function, _, _ := strings.Cut(line, " ")
		if f, _ := topology.FunctionByName(function); f.Secrets == nil {
			seenOfOther[line] = true
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(string(other)), "\n") {
		seenOfOther[line] = true
	}
	assets, err := stubs()
	if err != nil {
		t.Fatal(err)
	}
	apart := environment("dev")
	apart.SecretStore = topology.InSecretsManager
	cloudApart, err := synth(apart, assets)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"with secrets in Secrets Manager"}, names...) {
		c, e, seen := cloudApart, apart, seenOfOther
		if slices.Contains(names, name) {
			c, e, seen = clouds[name], environment(name), seenOfFirst
		}
		statements, allowed, used := c.statements(), map[string]bool{}, map[string]bool{}
		for function, f := range c.functions(e) {
			role := strings.TrimSuffix(c.text(f.stack, f.get("Role")), ".Arn}") + "}"
			if len(statements[role]) == 0 {
				t.Errorf("%s: %s has no policy", name, function)
			}
			for _, s := range statements[role] {
				for _, action := range list(dig(s, "Action")) {
					for _, res := range list(dig(s, "Resource")) {
						kind := c.kind(e, c.text(dig(s, "stack").(string), res))
						line := fmt.Sprintf("%s %s %s", function, action, kind)
						allowed[line] = true
						for _, reason := range []string{fmt.Sprintf("%s %s", function, action), fmt.Sprintf("* %s", action)} {
							if besides[reason] != "" {
								used[reason] = true
								line = ""
							}
						}
						if line != "" && !seen[line] {
							t.Errorf("%s: allowed and never seen: %s", name, line)
						}
					}
				}
			}
		}
		for _, line := range slices.Sorted(maps.Keys(seen)) {
			if !allowed[line] {
				t.Errorf("%s: seen and not allowed: %s", name, line)
			}
		}
		for reason := range besides {
			if !used[reason] {
				t.Errorf("%s: nobody is allowed %s any more", name, reason)
			}
		}
	}
}

// widest are the actions that AWS grants on * alone.
var widest = map[string]string{
	"ecr:GetAuthorizationToken":     "a registry's token is for all its repositories",
	"logs:CreateLogDelivery":        "log delivery has no resource type",
	"logs:GetLogDelivery":           "log delivery has no resource type",
	"logs:UpdateLogDelivery":        "log delivery has no resource type",
	"logs:DeleteLogDelivery":        "log delivery has no resource type",
	"logs:ListLogDeliveries":        "log delivery has no resource type",
	"logs:PutResourcePolicy":        "log delivery has no resource type",
	"logs:DescribeResourcePolicies": "log delivery has no resource type",
	"logs:DescribeLogGroups":        "log delivery asks for all groups",
}

func TestNoStatementIsWiderThanItMust(t *testing.T) {
	for _, name := range names {
		c := clouds[name]
		for role, statements := range c.statements() {
			for _, s := range statements {
				if dig(s, "Effect") != "Allow" || dig(s, "NotAction") != nil || dig(s, "NotResource") != nil {
					t.Errorf("%s: %s: %v", name, role, s)
				}
				for _, action := range list(dig(s, "Action")) {
					if strings.Contains(action.(string), "*") {
						t.Errorf("%s: %s may do %s", name, role, action)
					}
					for _, res := range list(dig(s, "Resource")) {
						if c.text("", res) == "*" && widest[action.(string)] == "" {
							t.Errorf("%s: %s may do %s on *", name, role, action)
						}
					}
				}
			}
		}
		for _, r := range c.all("AWS::IAM::Role") {
			if r.get("ManagedPolicyArns") != nil {
				t.Errorf("%s: %s has a managed policy, which is wider", name, r)
			}
		}
	}
}
