package topology

import (
	"maps"
	"time"
)

// Wakeups is the FIFO queue of messages that make the scheduler look. All its
// messages share one group, so that one scheduler runs at a time.
const Wakeups = "wakeups"

// StripeEvents is the FIFO queue of Stripe's events; each customer is a group.
const StripeEvents = "stripe-events"

// Queues lists the queues.
var Queues = []QueueSpec{
	// A scheduler that crashes holds the queue's one group, and with it every
	// tenant, until its messages are visible again.
	{Name: Wakeups, FIFO: true, Consumer: "scheduler", BatchSize: 10, MaxConcurrency: 1, VisibilityTimeout: 40 * time.Second, MaxReceives: 5, MayWait: 5 * time.Minute},
	// An event is tried for an hour and a half before it is given up: Stripe may
	// be down for that long. One at a time, so that a failure is one event's. The
	// reconciler's alarms tell of an outage: events that wait need none.
	{Name: StripeEvents, FIFO: true, Consumer: "stripe/sync", BatchSize: 1, MaxConcurrency: 4, VisibilityTimeout: 3 * time.Minute, MaxReceives: 30},
}

// Schedules lists the schedules.
var Schedules = []Schedule{
	{Name: "reaper", Every: time.Minute, Function: "reaper"},
	// A day's export begins an hour after the day; most rounds read one row.
	{Name: "audit-export", Every: 15 * time.Minute, Function: "audit/export"},
	{Name: "stripe-reconcile", Every: time.Hour, Function: "stripe/reconcile"},
	// Most rounds ask an index once and find nothing to do.
	{Name: "tenant-remove", Every: 5 * time.Minute, Function: "tenant/remove"},
}

// EventRules lists the EventBridge rules.
var EventRules = []EventRule{
	{Name: "container-stopped", Source: "aws.ecs", DetailType: "ECS Task State Change", LastStatus: "STOPPED", Function: "container-stopped"},
}

// SingleTable is the table that holds everything.
var SingleTable = TableSpec{
	PartitionKey: "PK", SortKey: "SK", TTL: "TTL",
	Indexes: []Index{
		{Name: "GSI1", PartitionKey: "GSI1PK", SortKey: "GSI1SK"},
		{Name: "GSI2", PartitionKey: "GSI2PK", SortKey: "GSI2SK", KeysOnly: true},
	},
}

// Functions lists every Lambda function. Those behind tenants' routes update the
// table at least to count the request and to keep a refusal.
var Functions = []Function{
	api("create-task", "Admits a task in one transaction and wakes the scheduler.", use(Table, Get, Query, Put, Update, Check), use(Queue(Wakeups), Send)).
		with("OUTPOST_REPO_SCHEMES", "OUTPOST_PRIVATE_ADDRESSES", secretStore),
	api("list-tasks", "Lists the tenant's tasks, newest first.", use(Table, Update), use(TableIndex("GSI1"), Query), use(PlatformSecret, Read)),
	api("get-task", "Reads one task with its runs.", use(Table, Get, Query, Update)),
	api("list-task-events", "Reads the events of all runs of a task.", use(Table, Query, Update)),
	api("cancel-task", "Asks for the end of every run of a task.", use(Table, Get, Query, Put, Update, Delete, Check)),
	api("get-run", "Reads one run.", use(Table, Get, Query, Update)),
	api("list-run-events", "Reads a run's events, waiting for new ones up to 20 s.", use(Table, Get, Query, Update)),
	api("list-artifacts", "Lists a run's artifacts with download URLs.", use(Table, Get, Update), use(Bucket, Read)),
	api("get-patch", "Reads a run's patch.", use(Table, Get, Update), use(Bucket, Read)),
	api("cancel-run", "Asks for the end of one run.", use(Table, Get, Query, Put, Update, Delete, Check)),
	api("create-key", "Makes an API key of the tenant.", use(Table, Get, Query, Put, Update, Check), use(PlatformSecret, Read)),
	api("list-keys", "Lists the tenant's API keys, newest first.", use(Table, Update), use(TableIndex("GSI1"), Query), use(PlatformSecret, Read)),
	api("revoke-key", "Ends an API key for ever.", use(Table, Get, Query, Put, Update, Delete, Check), use(TableIndex("GSI1"), Query)),
	api("rotate-key", "Puts a new API key in the place of another.", use(Table, Get, Query, Put, Update, Check), use(TableIndex("GSI1"), Query), use(PlatformSecret, Read)),
	api("list-secrets", "Lists the tenant's secrets, never their values.", use(Table, Query, Update)).with(secretStore),
	api("put-secret", "Seals a secret of the tenant.", use(Table, Query, Put, Update, Delete, Check)).
		keeping(InTable, use(Table, Get), use(Key, Encrypt)).
		keeping(InSecretsManager, use(TenantSecrets, Read, Create, Write, Delete)),
	api("delete-secret", "Forgets a secret of the tenant.", use(Table, Query, Put, Update, Delete, Check)).
		keeping(InSecretsManager, use(TenantSecrets, Read, Write, Delete)),
	api("check-secret", "Asks a provider or a git host whether a secret works.", use(Table, Query, Put, Update, Check)).
		keeping(InTable, use(Key, Decrypt)).
		keeping(InSecretsManager, use(TenantSecrets, Read)).
		with("OUTPOST_REPO_SCHEMES", "OUTPOST_PRIVATE_ADDRESSES", "OUTPOST_PROVIDER_URLS"),
	api("get-limits", "Tells what the tenant may do and how much of it is used.", use(Table, Get, Update)),
	api("get-own-tenant", "Reads the caller's own tenant.", use(Table, Get, Update)),
	api("get-usage", "Tells what the tenant's runs took.", use(Table, Query, Update)),
	api("get-billing", "Tells how the tenant's plan is paid for.", use(Table, Get, Update)),
	api("open-checkout", "Opens a page of Stripe's on which the tenant subscribes.",
		use(Table, Get, Query, Put, Update, Check), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).with(selling...).with(leadingBack...),
	api("change-plan", "Brings the tenant's subscription to another plan.",
		use(Table, Get, Query, Put, Update, Check), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).with(selling...).with(leadingBack...),
	api("open-portal", "Opens the tenant's billing portal at Stripe.",
		use(Table, Get, Put, Update, Check), use(PlatformSecret, Read)).with(selling...).with(leadingBack...),
	api("return-from-checkout", "Takes back who has paid on Stripe's page, and looks at what was paid.",
		use(Table, Get, Query, Put, Update), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).with(selling...).with(leadingBack...),
	api("list-audit", "Lists the tenant's audit events, newest first.", use(Table, Query, Update), use(TableIndex("GSI1"), Query), use(PlatformSecret, Read)),
	api("list-agents", "Lists the agents that the tenant's plan allows.", use(Table, Update)),
	api("health", "Says that the API answers."),
	api("docs", "Serves the API's description and a page to read it."),

	api("create-tenant", "Makes a tenant with its first API key.", use(Table, Get, Put), use(PlatformSecret, Read)),
	api("list-tenants", "Lists the tenants.", use(TableIndex("GSI1"), Query), use(PlatformSecret, Read)),
	api("get-tenant", "Reads one tenant.", use(Table, Get)),
	api("update-tenant", "Changes a tenant's plan, limits or state.", use(Table, Get, Query, Put, Update), use(Queue(Wakeups), Send), use(Queue(StripeEvents), Send)),
	api("close-tenant", "Closes a tenant for ever and ends its runs.", use(Table, Get, Query, Put, Update, Delete), use(TableIndex("GSI2"), Query), use(Queue(StripeEvents), Send)),

	api("list-audit-exports", "Lists a tenant's exported audit trail.", use(Table, Get, Query), use(AuditObjects, Read), use(PlatformSecret, Read)),

	api("get-tenant-billing", "Shows how a tenant stands beside what Stripe says of it.", use(Table, Get), use(PlatformSecret, Read)).
		with(selling...),
	api("sync-tenant-billing", "Makes a tenant's plan what Stripe says, now.",
		use(Table, Get, Query, Put, Update), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).
		with(selling...),
	api("replay-stripe-events", "Puts Stripe's events that were given up back into their queue.",
		use(DeadLetters(StripeEvents), Receive, Delete, Count), use(Queue(StripeEvents), Send)),

	function("operator", 5*time.Second, "Knows the operator by its key.", use(PlatformSecret, Read)),
	function("authorizer", 5*time.Second, "Turns an API key into the caller's context.", use(Table, Get, Update), use(PlatformSecret, Read)),

	runner("authorize", "Checks a worker's ticket or run token.", use(PlatformSecret, Read)),
	runner("claim", "Binds an attempt to the worker that asks first.", use(Table, Get, Query, Put), use(PlatformSecret, Read)).
		keeping(InTable, use(Key, Decrypt)).
		keeping(InSecretsManager, use(TenantSecrets, Read)).
		with(timing...).with("OUTPOST_REPO_SCHEMES", "OUTPOST_PRIVATE_ADDRESSES", "OUTPOST_PROVIDER_URLS"),
	runner("pin", "Fixes the commit that all runs of a task use.", use(Table, Get, Put)),
	runner("heartbeat", "Extends a run's lease and tells whether to stop.", use(Table, Get, Put)).with(timing...),
	runner("events", "Stores a batch of a run's events.", use(Table, Put)),
	runner("uploads", "Hands out upload URLs for a run's artifacts.", use(Table, Get), use(Bucket, Write)),
	runner("finish", "Stores a run's result and answers the state machine.", use(Table, Get, Put), use(Workflow, Answer)),

	function("scheduler", 20*time.Second, "Picks waiting runs fairly and starts them.", use(Table, Get, Query, Put, Update, Delete), use(TableIndex("GSI2"), Query), use(Workflow, Start)).
		with(timing...).with("OUTPOST_FLEET_CAP", metrics),
	function("workflow/launch", 60*time.Second, "Makes an attempt and launches its container.",
		use(Table, Get, Put), use(Cluster, Run, Stop), use(PlatformSecret, Read), use(Workflow, Answer)).
		with(timing...).with("OUTPOST_API_URL", "OUTPOST_SPOT", metrics),
	function("workflow/settle", 30*time.Second, "Ends a run, or sends it round again.", use(Table, Get, Put, Update), use(Queue(Wakeups), Send)).
		with(timing...).with(metrics),
	function("container-stopped", 30*time.Second, "Records the end of a container and answers the state machine.",
		use(Table, Get, Put), use(Workflow, Answer)),
	function("reaper", 60*time.Second, "Heals what a lost message or a crash left behind.",
		use(Table, Get, Put, Update), use(TableIndex("GSI2"), Query), use(Queue(Wakeups), Send), use(Workflow, Start, Describe, Answer), use(Cluster, Stop, Describe)).
		with(timing...).with(metrics),
	function("audit/export", 5*time.Minute, "Exports each tenant's audit trail, a day at a time.",
		use(Table, Get, Query, Put, Update), use(TableIndex("GSI1"), Query), use(AuditObjects, Read, Write)),
	function("tenant/remove", 5*time.Minute, "Ends the runs of closed tenants, and removes their data after their time.",
		use(Table, Get, Query, Put, Update, Delete, DeleteMany, Check), use(TableIndex("GSI1"), Query), use(TableIndex("GSI2"), Query), use(Bucket, List, Delete)).
		keeping(InSecretsManager, use(TenantSecrets, Delete)),

	function("stripe/webhook", 10*time.Second, "Puts Stripe's signed events into a queue.", use(Queue(StripeEvents), Send), use(PlatformSecret, Read)).
		with("OUTPOST_STRIPE_PRICES", "OUTPOST_STRIPE_LIVE"),
	function("stripe/sync", 30*time.Second, "Makes a tenant's plan what Stripe says, for an event.",
		use(Table, Get, Query, Put, Update), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).
		with(selling...),
	function("stripe/reconcile", 10*time.Minute, "Compares every paying tenant with Stripe.",
		use(Table, Get, Query, Put, Update), use(TableIndex("GSI1"), Query), use(PlatformSecret, Read), use(Queue(Wakeups), Send)).
		with(selling...).with(metrics),
}

// Routes lists every HTTP route.
var Routes = []Route{
	{"POST", "/v1/tasks", "api/create-task", ByAPIKey, "tasks:write"},
	{"GET", "/v1/tasks", "api/list-tasks", ByAPIKey, "tasks:read"},
	{"GET", "/v1/tasks/{id}", "api/get-task", ByAPIKey, "tasks:read"},
	{"GET", "/v1/tasks/{id}/events", "api/list-task-events", ByAPIKey, "tasks:read"},
	{"POST", "/v1/tasks/{id}/cancel", "api/cancel-task", ByAPIKey, "tasks:write"},
	{"GET", "/v1/runs/{id}", "api/get-run", ByAPIKey, "tasks:read"},
	{"GET", "/v1/runs/{id}/events", "api/list-run-events", ByAPIKey, "tasks:read"},
	{"GET", "/v1/runs/{id}/artifacts", "api/list-artifacts", ByAPIKey, "tasks:read"},
	{"GET", "/v1/runs/{id}/patch", "api/get-patch", ByAPIKey, "tasks:read"},
	{"POST", "/v1/runs/{id}/cancel", "api/cancel-run", ByAPIKey, "tasks:write"},
	{"POST", "/v1/keys", "api/create-key", ByAPIKey, "keys:write"},
	{"GET", "/v1/keys", "api/list-keys", ByAPIKey, "keys:write"},
	{"DELETE", "/v1/keys/{id}", "api/revoke-key", ByAPIKey, "keys:write"},
	{"POST", "/v1/keys/{id}/rotate", "api/rotate-key", ByAPIKey, "keys:write"},
	{"GET", "/v1/secrets", "api/list-secrets", ByAPIKey, "secrets:write"},
	{"PUT", "/v1/secrets/{name}", "api/put-secret", ByAPIKey, "secrets:write"},
	{"DELETE", "/v1/secrets/{name}", "api/delete-secret", ByAPIKey, "secrets:write"},
	{"POST", "/v1/secrets/{name}/check", "api/check-secret", ByAPIKey, "secrets:write"},
	{"GET", "/v1/limits", "api/get-limits", ByAPIKey, "tasks:read"},
	{"GET", "/v1/tenant", "api/get-own-tenant", ByAPIKey, "tasks:read"},
	{"GET", "/v1/usage", "api/get-usage", ByAPIKey, "tasks:read"},
	{"GET", "/v1/billing", "api/get-billing", ByAPIKey, "billing:write"},
	{"POST", "/v1/billing/checkout", "api/open-checkout", ByAPIKey, "billing:write"},
	{"POST", "/v1/billing/plan", "api/change-plan", ByAPIKey, "billing:write"},
	{"POST", "/v1/billing/portal", "api/open-portal", ByAPIKey, "billing:write"},
	{"GET", "/billing/return", "api/return-from-checkout", Open, ""},
	{"GET", "/v1/audit", "api/list-audit", ByAPIKey, "audit:read"},
	{"GET", "/v1/agents", "api/list-agents", ByAPIKey, "tasks:read"},
	{"POST", "/v1/tenants", "api/create-tenant", ByOperator, ""},
	{"GET", "/v1/tenants", "api/list-tenants", ByOperator, ""},
	{"GET", "/v1/tenants/{id}", "api/get-tenant", ByOperator, ""},
	{"PATCH", "/v1/tenants/{id}", "api/update-tenant", ByOperator, ""},
	{"DELETE", "/v1/tenants/{id}", "api/close-tenant", ByOperator, ""},
	{"GET", "/v1/tenants/{id}/audit-exports", "api/list-audit-exports", ByOperator, ""},
	{"GET", "/v1/tenants/{id}/billing", "api/get-tenant-billing", ByOperator, ""},
	{"POST", "/v1/tenants/{id}/billing/sync", "api/sync-tenant-billing", ByOperator, ""},
	{"POST", "/v1/stripe-events/replay", "api/replay-stripe-events", ByOperator, ""},
	{"POST", "/webhooks/stripe", "stripe/webhook", Open, ""},
	{"GET", "/health", "api/health", Open, ""},
	{"GET", "/docs", "api/docs", Open, ""},
	{"GET", "/openapi.yaml", "api/docs", Open, ""},

	{"POST", "/runner/v1/claim", "runner/claim", ByRunner, ""},
	{"POST", "/runner/v1/pin", "runner/pin", ByRunner, ""},
	{"POST", "/runner/v1/heartbeat", "runner/heartbeat", ByRunner, ""},
	{"POST", "/runner/v1/events", "runner/events", ByRunner, ""},
	{"POST", "/runner/v1/uploads", "runner/uploads", ByRunner, ""},
	{"POST", "/runner/v1/finish", "runner/finish", ByRunner, ""},
}

// metrics is the setting of those who count.
const metrics = "OUTPOST_METRICS_NAMESPACE"

// secretStore is the setting of those who must know which secrets are set.
const secretStore = "OUTPOST_SECRET_STORE"

func api(operation, purpose string, uses ...Use) Function {
	return function("api/"+operation, 29*time.Second, purpose, uses...)
}

func runner(operation, purpose string, uses ...Use) Function {
	return function("runner/"+operation, 29*time.Second, purpose, uses...)
}

func function(name string, timeout time.Duration, purpose string, uses ...Use) Function {
	return Function{Name: name, Purpose: purpose, Timeout: timeout, MemoryMB: 256, Uses: uses}
}

func use(r Resource, a ...Access) Use { return Use{Resource: r, Access: a} }

func (f Function) with(settings ...string) Function {
	f.Settings = append(f.Settings[:len(f.Settings):len(f.Settings)], settings...)
	return f
}

// keeping adds what the function uses where tenants' secrets are in a store, and
// the setting that tells it so.
func (f Function) keeping(store SecretStore, uses ...Use) Function {
	all := map[SecretStore][]Use{store: uses}
	maps.Copy(all, f.Secrets)
	if f.Secrets == nil {
		f = f.with(secretStore)
	}
	f.Secrets = all
	return f
}

// FunctionByName returns the function of a name, and whether there is one.
func FunctionByName(name string) (Function, bool) {
	for _, f := range Functions {
		if f.Name == name {
			return f, true
		}
	}
	return Function{}, false
}
