// Package stripe is a small stateful stand-in for Stripe: the REST API of
// version 2023-10-16, pages that a person clicks through (Checkout, the billing
// portal, an invoice, and an overview with the clock and the faults), and signed
// webhooks. stripe-go v76 speaks to it as to Stripe.
//
// A test opens one with New, serves it (it is an http.Handler), and moves it:
//
//	s, err := stripe.New(stripe.Options{Clock: manual, URL: endpoint, Secret: secret})
//	location, err := s.Checkout(sessionID, stripe.GoodCard) // the person pays
//	err = s.SetCard(customer, stripe.FailingCard)           // renewals will fail
//	s.Advance(31 * 24 * time.Hour)                          // renewals, retries, ends
//	s.Deliver(ctx)                                          // sends the webhooks that are due
//	s.Take(); s.Request(ctx, delivery)                      // or takes them, to send in any way
//	s.FailWebhooks(stripe.WebhookFaults{Duplicate: 0.5})    // drop, duplicate, delay, reorder, forge
//	s.Fail(stripe.Fault{Status: 429, Times: 3})             // or 500, also one that is kept under a key, down, an answer lost
//	s.Subscriptions(customer)                               // the truth, also Customers, Invoices, Events
//
// Run does Tick and Deliver by itself until its context ends: what `make run`
// uses. Everything else that happens is asked of the API. The clock that is
// given is the one of events, signatures and idempotency keys; Advance and test
// clocks move billing alone. Ids and faults follow from the seed.
//
// What differs from Stripe:
//   - It knows subscriptions by card: no one-time payments, trials on a price,
//     coupons, taxes, meters, 3-D Secure, sources or Connect. What it does not
//     know it refuses by name, as an unknown parameter or URL.
//   - Requests are served one after the other: two with one Idempotency-Key at
//     once never meet in a 409, the second is a replay.
//   - A renewal is retried 3, 5 and 7 days after each failure; a webhook after
//     5 s, doubled up to an hour, for three days.
//   - Moving a clock is done when it is answered; a test clock never shows
//     "advancing".
//   - Checkout takes a card and pays at once; nothing is shown of the customer.
//   - Prorations are exact to the second and rounded to the cent, by line.
//   - The portal releases a schedule before it cancels, and charges a change as
//     pending_if_incomplete does.
//   - Customers are searched by one metadata key, and found at once.
//   - Objects have every field that Stripe's schema requires; of the others those
//     that somebody reads. Events are kept for ever.
package stripe
