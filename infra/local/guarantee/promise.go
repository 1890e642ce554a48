package guarantee

// Promise is something that always holds.
type Promise struct{ ID, Title, Sentence string }

// Promises lists what `make prove` proves: each needs a test that passes.
var Promises = []Promise{
	{"tenancy-1", "Quota", "64 submitters, limits 1 to 1,000, 100 seeds, 5 % lost answers, the day rolling over in the middle: admitted equals the limit exactly, and a checker of linearizability accepts every history."},
	{"tenancy-2", "Concurrency", "Workers and functions killed at every step: never above the cap at any moment, each slot back within two heartbeats, none leaked after 1,000 runs."},
	{"tenancy-3", "Fairness", "One tenant with 10,000 runs waiting beside 20 tenants with 5 each: the quiet ones' p95 wait is at most twice what it is without the noisy one, Jain's index within a plan is at least 0.95, weights are kept within 5 %, nobody starves, and a decision over 10,000 waiting tenants takes under 5 ms."},
	{"tenancy-4", "Idempotency", "1,000 keys, 20 concurrent tries each, 5 % lost answers: 1,000 tasks, equal answers, other bodies refused."},
	{"tenancy-5", "Isolation", "Every operation of the contract and every id parameter with another tenant's ids and with every scope missing: 404 or 403 as fits, no foreign byte, no measurable difference between \"not yours\" and \"not there\"."},
	{"tenancy-6", "Keys", "100,000 malformed keys cause no read; no key text is in table, logs or errors; a leaked table cannot be used to sign in."},
	{"tenancy-7", "Secrets", "1,000 ciphertexts moved between tenants, names and versions: none decrypts; one ticket and 50 claimers: one wins; a canary secret planted in every input shows up in no log, event, artifact, audit row, metric or error, in plain, base64, hex or URL form, split at any point."},
	{"tenancy-8", "Pages", "Lists under concurrent writes return every row that existed throughout exactly once."},

	{"billing-1", "Entitlement", "10,000 events, each three times, shuffled, 10 % forged, stale or of another api_version, the consumer killed at random: every tenant's plan equals Stripe's truth, each event acts once, no forged event is accepted."},
	{"billing-2", "Lost webhooks", "All webhooks lost: equal after one run of the reconciler, no difference left."},
	{"billing-3", "Every boundary", "Every subscription status, plan and boundary, one second before and after: the table in docs/billing.md is right."},
	{"billing-4", "One customer", "Two Checkout tabs, a double click, a lost answer of Stripe, a failure that it keeps: one customer, one subscription."},
	{"billing-5", "Shape of requests", "The calls to Stripe pass against stripe-mock."},
	{"billing-6", "Stripe down", "Stripe down for an hour, answering 429 and 500: the API keeps serving on the last known entitlement, nothing is lost, no storm of retries."},
	{"billing-7", "Settings", "The service does not start without a signing secret, with a live key in a non-live environment, or with a price that Stripe does not know."},
}

// Find returns the promise of an ID, and whether there is one.
func Find(id string) (Promise, bool) {
	for _, p := range Promises {
		if p.ID == id {
			return p, true
		}
	}
	return Promise{}, false
}
