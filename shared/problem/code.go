package problem

import "slices"

// Code names a kind of refusal. Codes never change their meaning.
type Code string

// The codes.
const (
	MalformedRequest    Code = "malformed_request"
	InvalidParameter    Code = "invalid_parameter"
	Unauthorized        Code = "unauthorized"
	InsufficientScope   Code = "insufficient_scope"
	PlanLimit           Code = "plan_limit"
	TenantInactive      Code = "tenant_inactive"
	TenantClosed        Code = "tenant_closed"
	NotFound            Code = "not_found"
	NoPatch             Code = "no_patch"
	TooManyKeys         Code = "too_many_keys"
	TicketBound         Code = "ticket_bound"
	AttemptSuperseded   Code = "attempt_superseded"
	RunCancelled        Code = "run_cancelled"
	ProtocolUnsupported Code = "protocol_unsupported"
	BodyTooLarge        Code = "body_too_large"
	UnsupportedMedia    Code = "unsupported_media_type"
	ValidationFailed    Code = "validation_failed"
	MissingSecret       Code = "missing_secret"
	IdempotencyMismatch Code = "idempotency_mismatch"
	RateLimited         Code = "rate_limited"
	QuotaExceeded       Code = "quota_exceeded"
	Internal            Code = "internal"
	Busy                Code = "busy"
	InvalidSignature    Code = "invalid_signature"
	BillingUnavailable  Code = "billing_unavailable"
	BillingMismatch     Code = "billing_mismatch"
	AlreadySubscribed   Code = "already_subscribed"
	NotSubscribed       Code = "not_subscribed"
	OperatorsPlan       Code = "operators_plan"
	PaymentMissing      Code = "payment_missing"
	StillSubscribed     Code = "still_subscribed"
)

// Info is a row of the table of codes.
type Info struct {
	Code      Code
	Status    int
	Title     string
	Retryable bool // the same request may succeed later, unchanged
}

// table has 400 for what cannot be read at all and 422 for a body that can be
// read and says something that is not allowed.
var table = []Info{
	{MalformedRequest, 400, "The request cannot be read.", false},
	{InvalidParameter, 400, "A parameter is not valid.", false},
	{InvalidSignature, 400, "The signature is not accepted.", false},
	{Unauthorized, 401, "The key is not accepted.", false},
	{InsufficientScope, 403, "The key lacks a scope.", false},
	{PlanLimit, 403, "The tenant's limits do not allow this.", false},
	{TenantInactive, 403, "The tenant is not active.", false},
	{TenantClosed, 409, "The tenant is closed.", false},
	{NotFound, 404, "Not found.", false},
	{NoPatch, 404, "The run has no patch.", false},
	{BillingMismatch, 409, "Stripe and this Outpost's settings do not fit.", false},
	{TooManyKeys, 409, "There are as many keys as there can be.", false},
	{AlreadySubscribed, 409, "There is a subscription already.", false},
	{NotSubscribed, 409, "There is no subscription.", false},
	{OperatorsPlan, 409, "The operator gives the plan.", false},
	{PaymentMissing, 409, "A payment is missing.", false},
	{StillSubscribed, 409, "The tenant is still subscribed.", false},
	{TicketBound, 409, "Another worker holds this attempt.", false},
	{AttemptSuperseded, 409, "The attempt is over.", false},
	{RunCancelled, 409, "The run was cancelled.", false},
	{ProtocolUnsupported, 409, "The worker's protocol is not served.", false},
	{BodyTooLarge, 413, "The body is too large.", false},
	{UnsupportedMedia, 415, "The body must be JSON.", false},
	{ValidationFailed, 422, "The request is not valid.", false},
	{MissingSecret, 422, "A provider's key is not set.", false},
	{IdempotencyMismatch, 422, "The idempotency key was used with another body.", false},
	{RateLimited, 429, "Too many requests.", true},
	{QuotaExceeded, 429, "The daily quota is used up.", true},
	{Internal, 500, "Internal error.", true},
	{Busy, 503, "Too much at once.", true},
	{BillingUnavailable, 503, "Billing does not answer.", true},
}

// Codes returns every row, by status.
func Codes() []Info { return slices.Clone(table) }

func lookup(c Code) (Info, bool) {
	for _, i := range table {
		if i.Code == c {
			return i, true
		}
	}
	return Info{}, false
}
