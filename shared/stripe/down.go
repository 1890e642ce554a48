package stripe

import (
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v76"
)

// Down tells whether an error is one of Stripe not answering, or not now: no
// answer at all, 429, or a 5xx. Trying later may help, and nothing else does. It
// is for the errors of a Client's calls.
func Down(err error) bool {
	var e *sdk.Error
	if !errors.As(err, &e) { // else it is of the connection, or of a proxy's page in place of an answer
		return err != nil && !errors.Is(err, errMisread)
	}
	return e.HTTPStatusCode == http.StatusTooManyRequests || e.HTTPStatusCode >= http.StatusInternalServerError
}

// Reason says in a sentence why a call failed. It quotes no key, as Stripe's own
// words do in part.
func Reason(err error) string {
	var e *sdk.Error
	switch {
	case !errors.As(err, &e) && Down(err):
		return "Stripe does not answer."
	case e == nil:
		return err.Error()
	case Down(err):
		return fmt.Sprintf("Stripe does not answer now (HTTP %d).", e.HTTPStatusCode)
	case e.HTTPStatusCode == http.StatusUnauthorized:
		return "Stripe does not accept the key (HTTP 401)."
	}
	return fmt.Sprintf("Stripe refuses the call (HTTP %d %s %s).", e.HTTPStatusCode, e.Type, e.Code)
}
