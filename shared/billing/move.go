package billing

import (
	"errors"
	"fmt"
)

// Move is how a subscription comes to another plan.
type Move string

// The moves. Each also takes back what was to come and is not wanted any more.
const (
	Stay  Move = "stay"  // on its plan, for good
	Rise  Move = "rise"  // to a dearer plan at once, once the difference is paid
	Fall  Move = "fall"  // to a cheaper plan at the period's end
	Leave Move = "leave" // for the free plan, at the period's end
)

// Errors of MoveTo.
var (
	ErrUnpaid = errors.New("a payment is missing")
	ErrPlan   = errors.New("the plan has no price")
)

// MoveTo returns how a living subscription comes to a plan, and at what price; Stay
// and Leave have none. Only a plan is asked for: one that has it, or is to get it at
// the period's end, at a price of the past stays with that price. Whoever owes for
// one plan does not move to another that costs: that is ErrUnpaid. ErrPlan is for a
// plan that is not sold, and for a subscription to a price that is none's.
func (s Subscription) MoveTo(name string, prices Prices) (m Move, price string, err error) {
	if name == free {
		return Leave, "", nil
	}
	is := prices.Plan(s.Price)
	price, sold := prices.Of(name)
	switch {
	case !sold || is == "":
		return "", "", fmt.Errorf("%w: %s", ErrPlan, name)
	case name == is:
		return Stay, "", nil
	case s.Status != Active && s.Status != Trialing:
		return "", "", ErrUnpaid
	case Cost(name) > Cost(is):
		return Rise, price, nil
	case prices.Plan(s.Next) == name:
		return Fall, s.Next, nil
	}
	return Fall, price, nil
}
