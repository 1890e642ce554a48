package stripe

import "net/http"

// routes is every operation that there is.
func (s *Server) routes() {
	s.api("GET /v1/account", s.getAccount)

	s.api("POST /v1/products", s.createProduct)
	s.api("POST /v1/products/{id}", s.updateProduct)
	s.api("GET /v1/products", s.listProducts)
	s.api("GET /v1/products/{id}", retrieve[*Product](s))
	s.api("POST /v1/prices", s.createPrice)
	s.api("POST /v1/prices/{id}", s.updatePrice)
	s.api("GET /v1/prices", s.listPrices)
	s.api("GET /v1/prices/{id}", retrieve[*Price](s))

	s.api("POST /v1/customers", s.createCustomer)
	s.api("POST /v1/customers/{id}", s.updateCustomer)
	s.api("DELETE /v1/customers/{id}", s.deleteCustomer)
	s.api("GET /v1/customers", s.listCustomers)
	s.api("GET /v1/customers/search", s.searchCustomers)
	s.api("GET /v1/customers/{id}", retrieve[*Customer](s))
	s.api("POST /v1/payment_methods/{id}/attach", s.attachCard)
	s.api("GET /v1/payment_methods/{id}", retrieve[*PaymentMethod](s))

	s.api("POST /v1/checkout/sessions", s.createCheckout)
	s.api("GET /v1/checkout/sessions", s.listCheckouts)
	s.api("GET /v1/checkout/sessions/{id}", retrieve[*CheckoutSession](s))
	s.api("POST /v1/checkout/sessions/{id}/expire", s.expireCheckout)
	s.api("POST /v1/billing_portal/configurations", s.createPortal)
	s.api("POST /v1/billing_portal/configurations/{id}", s.updatePortal)
	s.api("GET /v1/billing_portal/configurations", s.listPortals)
	s.api("GET /v1/billing_portal/configurations/{id}", retrieve[*PortalConfiguration](s))
	s.api("POST /v1/billing_portal/sessions", s.createPortalSession)

	s.api("POST /v1/subscriptions", s.createSubscription)
	s.api("POST /v1/subscriptions/{id}", s.updateSubscription)
	s.api("DELETE /v1/subscriptions/{id}", s.cancelSubscription)
	s.api("POST /v1/subscriptions/{id}/resume", s.resumeSubscription)
	s.api("GET /v1/subscriptions", s.listSubscriptions)
	s.api("GET /v1/subscriptions/{id}", retrieve[*Subscription](s))
	s.api("POST /v1/subscription_schedules", s.createSchedule)
	s.api("POST /v1/subscription_schedules/{id}", s.updateSchedule)
	s.api("POST /v1/subscription_schedules/{id}/release", s.releaseSchedule)
	s.api("POST /v1/subscription_schedules/{id}/cancel", s.cancelSchedule)
	s.api("GET /v1/subscription_schedules", s.listSchedules)
	s.api("GET /v1/subscription_schedules/{id}", retrieve[*Schedule](s))

	s.api("GET /v1/invoices", s.listInvoices)
	s.api("GET /v1/invoices/{id}", retrieve[*Invoice](s))
	s.api("POST /v1/invoices/{id}/pay", s.payInvoice)
	s.api("POST /v1/invoices/{id}/void", s.voidInvoice)
	s.api("POST /v1/invoices/{id}/mark_uncollectible", s.writeOffInvoice)
	s.api("GET /v1/payment_intents/{id}", retrieve[*PaymentIntent](s))
	s.api("GET /v1/charges/{id}", retrieve[*Charge](s))
	s.api("POST /v1/refunds", s.createRefund)
	s.api("GET /v1/disputes/{id}", retrieve[*Dispute](s))

	s.api("POST /v1/webhook_endpoints", s.createEndpoint)
	s.api("POST /v1/webhook_endpoints/{id}", s.updateEndpoint)
	s.api("DELETE /v1/webhook_endpoints/{id}", s.deleteEndpoint)
	s.api("GET /v1/webhook_endpoints", s.listEndpoints)
	s.api("GET /v1/webhook_endpoints/{id}", retrieve[*WebhookEndpoint](s))
	s.api("GET /v1/events", s.listEvents)
	s.api("GET /v1/events/{id}", retrieve[*Event](s))

	s.api("POST /v1/test_helpers/test_clocks", s.createTestClock)
	s.api("POST /v1/test_helpers/test_clocks/{id}/advance", s.advanceTestClock)
	s.api("GET /v1/test_helpers/test_clocks", s.listTestClocks)
	s.api("GET /v1/test_helpers/test_clocks/{id}", retrieve[*TestClock](s))

	s.api("/v1/", func(r *request) (any, error) {
		return nil, &Error{Status: 404, Type: "invalid_request_error", Message: "Unrecognized request URL, or one that the stand-in does not serve: " + r.path}
	})
	s.mux.HandleFunc("GET /pay/{id}", s.payPage)
	s.mux.HandleFunc("POST /pay/{id}", s.payPage)
	s.mux.HandleFunc("GET /portal/{id}", s.portalPage)
	s.mux.HandleFunc("POST /portal/{id}", s.portalPage)
	s.mux.HandleFunc("GET /invoice/{id}", s.invoicePage)
	s.mux.HandleFunc("POST /invoice/{id}", s.invoicePage)
	s.mux.HandleFunc("GET /{$}", s.overviewPage)
	s.mux.HandleFunc("POST /{$}", s.overviewPage)
	s.mux.Handle("/", http.NotFoundHandler())
}

// retrieve is the operation that answers one object.
func retrieve[T resource](s *Server) operation {
	return func(r *request) (any, error) {
		if err := r.check(); err != nil {
			return nil, err
		}
		return get[T](&s.store, r.id, "id")
	}
}

// account is the id of the one account.
const account = "acct_1Outpost"

func (s *Server) getAccount(r *request) (any, error) {
	out := map[string]any{"id": account, "object": "account"}
	finish(out)
	return out, r.check()
}
