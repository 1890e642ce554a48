// Package topology is the one description of what Outpost consists of:
// functions and what each uses, routes, queues, schedules, the table and its
// indexes, the worker, and every environment variable. infra/local runs it on
// one machine and the CDK app turns it into CloudFormation; what is not here
// does not exist. It is plain data and imports nothing of either.
package topology

import (
	"slices"
	"time"
)

// Function is one Lambda function. Its name is its directory under functions/.
type Function struct {
	Name     string
	Purpose  string
	Timeout  time.Duration
	MemoryMB int
	Uses     []Use
	Settings []string // names of rows of Settings
	// Secrets is what it uses beside that, by where tenants' secrets are.
	Secrets map[SecretStore][]Use
}

// SecretStore is where the values of tenants' secrets are kept.
type SecretStore string

// The stores. The table knows in both which secrets are set.
const (
	InTable          SecretStore = "table"          // sealed under the KMS key
	InSecretsManager SecretStore = "secretsmanager" // one JSON secret a tenant
)

// SecretStores lists them, the default first.
var SecretStores = []SecretStore{InTable, InSecretsManager}

// Of returns the function as it is deployed with a store of tenants' secrets.
func (f Function) Of(store SecretStore) Function {
	uses := f.Uses[:len(f.Uses):len(f.Uses)]
	for _, more := range f.Secrets[store] {
		if i := slices.IndexFunc(uses, func(u Use) bool { return u.Resource == more.Resource }); i >= 0 {
			uses = slices.Clone(uses)
			uses[i].Access = slices.Concat(uses[i].Access, more.Access)
		} else {
			uses = append(uses, more)
		}
	}
	f.Uses, f.Secrets = uses, nil
	return f
}

// Use grants a function access to a resource. Permissions and environment both
// follow from it.
type Use struct {
	Resource Resource
	Access   []Access
}

// Resource names one thing that functions use.
type Resource string

// The resources. A queue is used as Queue(name), an index of the table as
// TableIndex(name).
const (
	Table          Resource = "table"
	Bucket         Resource = "bucket"          // the artifacts of runs in it
	AuditObjects   Resource = "bucket/audit"    // the exported audit trail in it, which nobody else touches
	Key            Resource = "key"             // the KMS key of tenants' secrets
	PlatformSecret Resource = "platform-secret" // pepper and, later, Stripe's keys: one JSON secret
	TenantSecrets  Resource = "tenant-secrets"  // those of tenants in Secrets Manager, which share a prefix
	Workflow       Resource = "workflow"        // the state machine of a run
	Cluster        Resource = "cluster"         // where workers run
)

// Queue is the resource of a queue of that name.
func Queue(name string) Resource { return Resource("queue/" + name) }

// DeadLetters is the resource of the dead-letter queue of a queue.
func DeadLetters(name string) Resource { return Queue(DeadLetterName(name)) }

// DeadLetterName is the name of the dead-letter queue of a queue.
func DeadLetterName(name string) string { return name + "-dead" }

// TableIndex is the resource of an index of the table.
func TableIndex(name string) Resource { return Table + "/index/" + Resource(name) }

// Access is a right on a resource.
type Access string

// The rights.
const (
	Get      Access = "get"    // one row of the table
	Query    Access = "query"  // rows of one partition of the table or of an index
	Put      Access = "put"    // a row, also within a transaction, as the next three
	Update   Access = "update" // attributes of a row
	Delete   Access = "delete" // a row, an object, a message, or a secret
	Check    Access = "check"  // a condition in a transaction
	List     Access = "list"   // the keys of objects
	Read     Access = "read"   // an object or a secret
	Write    Access = "write"  // an object, or a new version of a secret
	Create   Access = "create" // a secret
	Send     Access = "send"
	Receive  Access = "receive" // messages of a queue by hand; its consumer needs no right of its own
	Count    Access = "count"   // about how many messages a queue has
	Decrypt  Access = "decrypt"
	Encrypt  Access = "encrypt"
	Start    Access = "start"    // start an execution
	Describe Access = "describe" // describe an execution, or a container
	Answer   Access = "answer"   // send a task token's success or failure
	Run      Access = "run"      // run a container
	Stop     Access = "stop"     // stop a container
)

// DeleteMany is the right to delete rows by the batch.
const DeleteMany Access = "delete-many"

// Authorizer guards a route.
type Authorizer string

// The authorizers. Open routes have none.
const (
	Open       Authorizer = ""
	ByAPIKey   Authorizer = "authorizer"       // name of the function that decides
	ByRunner   Authorizer = "runner/authorize" // tickets and run tokens
	ByOperator Authorizer = "operator"         // the operator's own key
	CacheTime             = 60 * time.Second   // of ByAPIKey's answers, by API key
)

// Route is one HTTP route.
type Route struct {
	Method     string
	Path       string // API Gateway form: /v1/tasks/{id}
	Function   string
	Authorizer Authorizer
	Scope      string // what the caller's key must hold; empty for none
}

// Throttle bounds a route, over all callers. It keeps one route from taking
// what the others need; what a tenant may do is its plan's business.
type Throttle struct {
	Rate  int // requests a second
	Burst int
}

// Throttle returns the route's bound.
func (r Route) Throttle() Throttle {
	switch {
	case r.Authorizer == ByRunner:
		return Throttle{500, 1000}
	case r.Authorizer == Open, r.Method != "GET":
		return Throttle{50, 100}
	default:
		return Throttle{200, 400}
	}
}

// QueueSpec is one SQS queue with its dead-letter queue, and the function that
// consumes it.
type QueueSpec struct {
	Name              string
	FIFO              bool
	Consumer          string
	BatchSize         int
	MaxConcurrency    int // invocations at once; FIFO with one group has 1
	VisibilityTimeout time.Duration
	MaxReceives       int // then a message moves to the dead-letter queue
	// MayWait is how long a message may wait before somebody is called; 0 where a
	// message that waits for long is no news.
	MayWait time.Duration
}

// Schedule invokes a function at an interval.
type Schedule struct {
	Name     string
	Every    time.Duration
	Function string
}

// EventRule sends an EventBridge event to a function.
type EventRule struct {
	Name       string
	Source     string
	DetailType string
	LastStatus string // detail.lastStatus that it matches
	Function   string
}

// TableSpec is the single table.
type TableSpec struct {
	PartitionKey, SortKey string // both strings
	TTL                   string
	Indexes               []Index
}

// Index is a sparse global secondary index, keyed by two string attributes.
type Index struct {
	Name, PartitionKey, SortKey string
	KeysOnly                    bool // else every attribute is projected
}
