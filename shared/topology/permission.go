package topology

import "fmt"

// Permission is an IAM action on one kind of resource: what a use comes to on
// AWS. The local target records what functions really do in the same words.
type Permission struct {
	Action   string
	Resource Resource // or a kind below, which no function uses as a whole
}

// The kinds of resource that a permission may be for, beside those that
// functions use.
const (
	BucketKeys      Resource = "bucket/keys"             // the keys of the artifacts of runs
	Executions      Resource = "workflow/execution"      // of the state machine
	TaskDefinitions Resource = "cluster/task-definition" // of the workers
	Containers      Resource = "cluster/task"            // in the cluster
)

// tablePermissions name DynamoDB's actions. Those of a transaction are those of
// its parts.
var tablePermissions = map[Access]string{
	Get: "dynamodb:GetItem", Query: "dynamodb:Query", Put: "dynamodb:PutItem", Update: "dynamodb:UpdateItem",
	Delete: "dynamodb:DeleteItem", DeleteMany: "dynamodb:BatchWriteItem", Check: "dynamodb:ConditionCheckItem",
}

// secretPermissions name Secrets Manager's actions.
var secretPermissions = map[Access]string{
	Read: "secretsmanager:GetSecretValue", Create: "secretsmanager:CreateSecret", Write: "secretsmanager:PutSecretValue", Delete: "secretsmanager:DeleteSecret",
}

// TablePermission is what an access to the table comes to, and whether there is
// such an access.
func TablePermission(a Access) (Permission, bool) {
	action, ok := tablePermissions[a]
	return Permission{action, Table}, ok
}

// Permissions lists what the use allows, an access each. It panics on an access
// that the resource does not have: the topology is wrong then.
func (u Use) Permissions() []Permission {
	var out []Permission
	for _, a := range u.Access {
		out = append(out, permission(u.Resource, a))
	}
	return out
}

// Permissions lists all that the function may do.
func (f Function) Permissions() []Permission {
	var out []Permission
	for _, u := range f.Uses {
		out = append(out, u.Permissions()...)
	}
	return out
}

func permission(r Resource, a Access) Permission {
	switch {
	case r == Table && tablePermissions[a] != "":
		return Permission{tablePermissions[a], r}
	case isIndex(r) && a == Query:
		return Permission{"dynamodb:Query", r}
	case isQueue(r) && a == Send:
		return Permission{"sqs:SendMessage", r}
	case isQueue(r) && a == Receive:
		return Permission{"sqs:ReceiveMessage", r}
	case isQueue(r) && a == Delete:
		return Permission{"sqs:DeleteMessage", r}
	case isQueue(r) && a == Count:
		return Permission{"sqs:GetQueueAttributes", r}
	case (r == Bucket || r == AuditObjects) && a == Read:
		return Permission{"s3:GetObject", r}
	case (r == Bucket || r == AuditObjects) && a == Write:
		return Permission{"s3:PutObject", r}
	case r == Bucket && a == List:
		return Permission{"s3:ListBucket", BucketKeys}
	case r == Bucket && a == Delete:
		return Permission{"s3:DeleteObject", r}
	case r == Key && a == Decrypt:
		return Permission{"kms:Decrypt", r}
	case r == Key && a == Encrypt:
		return Permission{"kms:GenerateDataKey", r}
	case r == PlatformSecret && a == Read:
		return Permission{"secretsmanager:GetSecretValue", r}
	case r == TenantSecrets && secretPermissions[a] != "":
		return Permission{secretPermissions[a], r}
	case r == Workflow && a == Start:
		return Permission{"states:StartExecution", r}
	case r == Workflow && a == Answer:
		return Permission{"states:SendTaskSuccess", r}
	case r == Workflow && a == Describe:
		return Permission{"states:DescribeExecution", Executions}
	case r == Cluster && a == Run:
		return Permission{"ecs:RunTask", TaskDefinitions}
	case r == Cluster && a == Stop:
		return Permission{"ecs:StopTask", Containers}
	case r == Cluster && a == Describe:
		return Permission{"ecs:DescribeTasks", Containers}
	}
	panic(fmt.Sprintf("topology: %s cannot be used to %s", r, a))
}
