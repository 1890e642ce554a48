package task

// Reason is the code of why a run ended otherwise than well. API, CLI and docs
// take its sentence from the one table here.
type Reason string

// The reasons.
const (
	ReasonNoChanges             Reason = "no_changes"
	ReasonAgentFailed           Reason = "agent_failed"
	ReasonProviderUnauthorized  Reason = "provider_unauthorized"
	ReasonProviderRateLimited   Reason = "provider_rate_limited"
	ReasonProviderError         Reason = "provider_error"
	ReasonProviderUnreachable   Reason = "provider_unreachable"
	ReasonBudgetExceeded        Reason = "budget_exceeded"
	ReasonSecretMissing         Reason = "secret_missing"
	ReasonRepositoryUnavailable Reason = "repository_unavailable"
	ReasonRepositoryEmpty       Reason = "repository_empty"
	ReasonRefNotFound           Reason = "ref_not_found"
	ReasonSetupFailed           Reason = "setup_failed"
	ReasonPatchTooLarge         Reason = "patch_too_large"
	ReasonPatchInvalid          Reason = "patch_invalid"
	ReasonDeadline              Reason = "deadline_exceeded"
	ReasonCancelled             Reason = "cancelled"
	ReasonWorkerLost            Reason = "worker_lost"
	ReasonLaunchFailed          Reason = "launch_failed"
	ReasonWorkerFailed          Reason = "worker_failed"
)

// Fixer is who can do something about a reason.
type Fixer string

// Who can fix it.
const (
	FixTenant   Fixer = "tenant"
	FixProvider Fixer = "provider"
	FixOutpost  Fixer = "outpost"
)

// ReasonInfo is a row of the table of reasons.
type ReasonInfo struct {
	Code      Reason
	Sentence  string
	Fixer     Fixer
	Retryable bool // worth submitting again unchanged
}

var reasons = []ReasonInfo{
	{ReasonNoChanges, "The agent ended without changing a file.", FixTenant, true},
	{ReasonAgentFailed, "The agent reported an error or crashed.", FixTenant, true},
	{ReasonProviderUnauthorized, "The provider refused the key.", FixTenant, false},
	{ReasonProviderRateLimited, "The provider's rate limit or quota for this key was reached.", FixTenant, true},
	{ReasonProviderError, "The provider answered with errors.", FixProvider, true},
	{ReasonProviderUnreachable, "The provider could not be reached.", FixProvider, true},
	{ReasonBudgetExceeded, "The task's budget was used up.", FixTenant, false},
	{ReasonSecretMissing, "The provider key that this agent needs is not set.", FixTenant, false},
	{ReasonRepositoryUnavailable, "The repository could not be cloned: it does not exist, its host has no public address, or the git token may not read it.", FixTenant, false},
	{ReasonRepositoryEmpty, "The repository has no commit.", FixTenant, false},
	{ReasonRefNotFound, "The repository has no such branch, tag or commit.", FixTenant, false},
	{ReasonSetupFailed, "The setup command failed.", FixTenant, false},
	{ReasonPatchTooLarge, "The patch is larger than 20 MiB.", FixTenant, false},
	{ReasonPatchInvalid, "The agent left a work tree that no patch can describe.", FixTenant, true},
	{ReasonDeadline, "The task's timeout passed.", FixTenant, true},
	{ReasonCancelled, "It was cancelled on request.", FixTenant, true},
	{ReasonWorkerLost, "The worker was lost more often than it is tried again.", FixOutpost, true},
	{ReasonLaunchFailed, "No container could be launched.", FixOutpost, true},
	{ReasonWorkerFailed, "The worker failed on its own account.", FixOutpost, true},
}

// Reasons returns every reason.
func Reasons() []ReasonInfo { return append([]ReasonInfo(nil), reasons...) }

// Info returns the row of a reason; the zero row for an empty or unknown one.
func (r Reason) Info() ReasonInfo {
	for _, i := range reasons {
		if i.Code == r {
			return i
		}
	}
	return ReasonInfo{Code: r}
}

// Known tells whether the reason is a row of the table.
func (r Reason) Known() bool { return r.Info().Sentence != "" }
