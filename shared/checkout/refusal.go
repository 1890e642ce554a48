package checkout

import (
	"errors"
	"time"

	"outpost/shared/billing"
	"outpost/shared/problem"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

// later is when a wish may be repeated that Stripe did not answer.
const later = 10 * time.Second

// Refusal translates an error of the desk into what a caller may read.
func Refusal(err error) error {
	var url *URLError
	var down *Unavailable
	say := func(code problem.Code, words string, fields ...problem.Field) error {
		return problem.New(code, words, fields...).Because(err)
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &url):
		return say(problem.ValidationFailed, "/"+url.Field+" "+url.Err.Error()+".", problem.Field{Field: "/" + url.Field, Message: url.Err.Error()})
	case errors.Is(err, ErrNoBilling):
		return say(problem.BillingUnavailable, "This Outpost has no billing.")
	case errors.Is(err, stripe.ErrSubscribed):
		return say(problem.AlreadySubscribed, "POST /v1/billing/plan changes its plan, and the billing portal its card.")
	case errors.Is(err, ErrNoSubscription):
		return say(problem.NotSubscribed, "POST /v1/billing/checkout begins one.")
	case errors.Is(err, tenant.ErrOperatorsPlan):
		return say(problem.OperatorsPlan, "Ask who runs this Outpost for another.")
	case errors.Is(err, tenant.ErrNotActive):
		return say(problem.TenantInactive, "The tenant is suspended: its plan can be ended, and not begun or changed.")
	case errors.Is(err, billing.ErrUnpaid):
		return say(problem.PaymentMissing, "Make it in the billing portal first, then change the plan.")
	case errors.Is(err, billing.ErrPlan):
		return say(problem.ValidationFailed, "/plan is not sold here.", problem.Field{Field: "/plan", Message: "is not sold here"})
	case errors.As(err, &down):
		p := problem.New(problem.BillingUnavailable, "Stripe does not answer; try again. What you have paid for goes on.").Because(err)
		p.RetryAfter = later
		return p
	}
	return err
}
