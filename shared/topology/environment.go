package topology

import (
	"slices"
	"strings"
)

// Setting is an environment variable that is not derived from a resource.
type Setting struct {
	Name    string
	Default string // empty: a deployment must give it, unless Optional
	// Optional settings may stay empty.
	Optional bool
	Purpose  string
}

// Settings lists them. Durations are in Go's notation, as 90s.
var Settings = []Setting{
	{Name: "OUTPOST_API_URL", Purpose: "Base URL of the API, as workers and browsers reach it."},
	{Name: "OUTPOST_REPO_SCHEMES", Default: "https", Purpose: "URL schemes that a repository may have, comma separated."},
	{Name: "OUTPOST_PRIVATE_ADDRESSES", Optional: true, Purpose: "Prefixes of addresses that are not public and that tenants' URLs may lead to all the same, comma separated. Empty: none."},
	{Name: "OUTPOST_SECRET_STORE", Default: string(InTable), Purpose: "Where the values of tenants' secrets are: table, sealed under the KMS key, or secretsmanager."},
	{Name: "OUTPOST_PROVIDER_URLS", Optional: true, Purpose: "Base URLs that replace providers' own: name=url, comma separated."},
	{Name: "OUTPOST_SPOT", Default: "false", Purpose: "Whether a run's first attempt uses Fargate Spot: cheaper, and may be taken away. true or false."},
	{Name: "OUTPOST_FLEET_CAP", Default: "200", Purpose: "Runs in flight over all tenants, a soft cap."},
	{Name: "OUTPOST_METRICS_NAMESPACE", Default: "Outpost", Purpose: "CloudWatch namespace of Outpost's own metrics; it tells deployments in one account apart."},
	{Name: "OUTPOST_STRIPE_PRICES", Optional: true, Purpose: "Stripe's prices of each paid plan: price=plan, comma separated, of each plan the one that is sold first. Empty: there is no billing."},
	{Name: "OUTPOST_STRIPE_LIVE", Default: "false", Purpose: "Whether Stripe's key moves real money. true or false."},
	{Name: "OUTPOST_STRIPE_API_BASE", Optional: true, Purpose: "URL that replaces Stripe's own."},
	{Name: "OUTPOST_RETURN_URLS", Optional: true, Purpose: "Origins that Stripe's pages may lead back to, comma separated; loopback for every port of the machine itself."},
	{Name: "OUTPOST_CLAIM_LEASE", Default: "5m", Purpose: "From launch until a worker must have claimed its attempt."},
	{Name: "OUTPOST_HEARTBEAT_LEASE", Default: "90s", Purpose: "Between two heartbeats before a run counts as lost."},
	{Name: "OUTPOST_HEARTBEAT_EVERY", Default: "20s", Purpose: "How often workers report."},
	{Name: "OUTPOST_UPLOAD_GRACE", Default: "5m", Purpose: "After a run's deadline, for uploads and the report."},
	{Name: "OUTPOST_NO_CAPACITY_WAIT", Default: "30s", Purpose: "Between launches when there is no capacity."},
	{Name: "OUTPOST_NO_CAPACITY_LIMIT", Default: "15m", Purpose: "Without capacity before a run goes back to the queue."},
}

// timing names the settings that task.Timing is read from.
var timing = []string{
	"OUTPOST_CLAIM_LEASE", "OUTPOST_HEARTBEAT_LEASE", "OUTPOST_HEARTBEAT_EVERY",
	"OUTPOST_UPLOAD_GRACE", "OUTPOST_NO_CAPACITY_WAIT", "OUTPOST_NO_CAPACITY_LIMIT",
}

// selling names the settings of those who ask Stripe.
var selling = []string{"OUTPOST_STRIPE_PRICES", "OUTPOST_STRIPE_LIVE", "OUTPOST_STRIPE_API_BASE"}

// leadingBack are the settings of those who lead tenants to Stripe and back.
var leadingBack = []string{"OUTPOST_API_URL", "OUTPOST_RETURN_URLS"}

// The environment variables that resources give to the functions that use them.
const (
	EnvTable          = "OUTPOST_TABLE"           // table name
	EnvBucket         = "OUTPOST_BUCKET"          // bucket name
	EnvKey            = "OUTPOST_KMS_KEY"         // key ARN
	EnvPlatformSecret = "OUTPOST_PLATFORM_SECRET" // secret ARN
	EnvTenantSecrets  = "OUTPOST_TENANT_SECRETS"  // prefix of their names in Secrets Manager, ending in a slash
	EnvWorkflow       = "OUTPOST_STATE_MACHINE"   // state machine ARN
	EnvCluster        = "OUTPOST_CLUSTER"         // cluster ARN
	EnvTaskFamily     = "OUTPOST_TASK_FAMILY"     // prefix of the task definitions' families; only with Run
	EnvSubnets        = "OUTPOST_SUBNETS"         // comma separated; only with Run
	EnvSecurityGroups = "OUTPOST_SECURITY_GROUPS" // comma separated; only with Run
)

// EnvQueue is the variable that holds a queue's URL.
func EnvQueue(name string) string {
	return "OUTPOST_QUEUE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func isQueue(r Resource) bool { return strings.HasPrefix(string(r), "queue/") }

func isIndex(r Resource) bool { return strings.HasPrefix(string(r), string(Table)+"/index/") }

// Env lists the environment variables that a use gives.
func (u Use) Env() []string {
	if name, ok := strings.CutPrefix(string(u.Resource), "queue/"); ok {
		return []string{EnvQueue(name)}
	}
	if isIndex(u.Resource) {
		return []string{EnvTable}
	}
	switch u.Resource {
	case Table:
		return []string{EnvTable}
	case Bucket, AuditObjects:
		return []string{EnvBucket}
	case Key:
		return []string{EnvKey}
	case PlatformSecret:
		return []string{EnvPlatformSecret}
	case TenantSecrets:
		return []string{EnvTenantSecrets}
	case Workflow:
		return []string{EnvWorkflow}
	case Cluster:
		for _, a := range u.Access {
			if a == Run {
				return []string{EnvCluster, EnvTaskFamily, EnvSubnets, EnvSecurityGroups}
			}
		}
		return []string{EnvCluster}
	}
	return nil
}

// Env lists every environment variable of the function, each once.
func (f Function) Env() []string {
	var names []string
	for _, u := range f.Uses {
		names = append(names, u.Env()...)
	}
	names = append(names, f.Settings...)
	slices.Sort(names)
	return slices.Compact(names)
}

// SettingByName returns a row of Settings, and whether there is one.
func SettingByName(name string) (Setting, bool) {
	for _, s := range Settings {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}
