package entitlementtest

import (
	"net/url"
	"path"
	"strings"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/checkout"
	"outpost/shared/stripe"
)

// App is where the tenants of a world may be led back to.
const App = "https://app.example.com"

// Desk is the world's tenants' desk, at an API on api.example.com.
func (w *World) Desk() checkout.Desk {
	w.T.Helper()
	returns, err := billing.ParseReturns(App)
	w.Must(err)
	return checkout.Desk{Stripe: &stripe.Connection{Client: w.Stripe, Prices: w.Keeper.Prices}, Store: w.Table, Keeper: w.Keeper, Prices: w.Keeper.Prices, Returns: returns,
		Ways: checkout.NewWays("https://api.example.com", []byte(strings.Repeat("k", 32))), Clock: w.Clock}
}

// Pay goes through a page of Checkout and returns the way back's parameters.
func (w *World) Pay(page string) url.Values {
	w.T.Helper()
	location, err := w.Fake.Checkout(path.Base(page), standin.GoodCard)
	w.Must(err)
	u, err := url.Parse(location)
	w.Must(err)
	if at := u.Scheme + "://" + u.Host + u.Path; at != "https://api.example.com"+checkout.ReturnPath {
		w.T.Errorf("led back to %s", location)
	}
	return u.Query()
}
