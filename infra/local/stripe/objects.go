package stripe

import "encoding/json"

// Head is what every object of Stripe's begins with.
type Head struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // Unix seconds, as all times
}

func (h *Head) head() *Head { return h }

// resource is any object that has an id of its own. Fields whose JSON name
// begins with an underscore are the stand-in's and are never shown.
type resource interface{ head() *Head }

// factories make an empty object of each kind, by its "object".
var factories = map[string]func() resource{
	"product": func() resource { return &Product{} }, "price": func() resource { return &Price{} },
	"customer": func() resource { return &Customer{} }, "payment_method": func() resource { return &PaymentMethod{} },
	"checkout.session":             func() resource { return &CheckoutSession{} },
	"billing_portal.configuration": func() resource { return &PortalConfiguration{} },
	"billing_portal.session":       func() resource { return &PortalSession{} },
	"subscription":                 func() resource { return &Subscription{} },
	"subscription_schedule":        func() resource { return &Schedule{} },
	"invoice":                      func() resource { return &Invoice{} }, "payment_intent": func() resource { return &PaymentIntent{} },
	"charge": func() resource { return &Charge{} }, "dispute": func() resource { return &Dispute{} }, "refund": func() resource { return &Refund{} },
	"webhook_endpoint": func() resource { return &WebhookEndpoint{} }, "event": func() resource { return &Event{} },
	"test_helpers.test_clock": func() resource { return &TestClock{} },
}

// Product is what is sold.
type Product struct {
	Head
	Active      bool              `json:"active"`
	Name        string            `json:"name"`
	Description *string           `json:"description"`
	Metadata    map[string]string `json:"metadata"`
	Updated     int64             `json:"updated"`
}

// Price is what a product costs, an interval at a time.
type Price struct {
	Head
	Active            bool              `json:"active"`
	Currency          string            `json:"currency"`
	LookupKey         *string           `json:"lookup_key"`
	Metadata          map[string]string `json:"metadata"`
	Nickname          *string           `json:"nickname"`
	Product           string            `json:"product"`
	Recurring         *Recurring        `json:"recurring"`
	Type              string            `json:"type"`
	UnitAmount        int64             `json:"unit_amount"` // cents
	UnitAmountDecimal string            `json:"unit_amount_decimal"`
}

// Recurring is how often a price is due.
type Recurring struct {
	Interval      string `json:"interval"`
	IntervalCount int64  `json:"interval_count"`
	UsageType     string `json:"usage_type"`
}

// Customer pays.
type Customer struct {
	Head
	Balance         int64             `json:"balance"` // cents; negative is the customer's credit
	Description     *string           `json:"description"`
	Email           *string           `json:"email"`
	InvoiceSettings InvoiceSettings   `json:"invoice_settings"`
	Metadata        map[string]string `json:"metadata"`
	Name            *string           `json:"name"`
	TestClock       *string           `json:"test_clock"`
	Deleted         bool              `json:"deleted,omitempty"`
}

// InvoiceSettings hold the card that invoices are charged to.
type InvoiceSettings struct {
	DefaultPaymentMethod *string `json:"default_payment_method"`
}

// PaymentMethod is a card.
type PaymentMethod struct {
	Head
	Card     Card              `json:"card"`
	Customer *string           `json:"customer"`
	Metadata map[string]string `json:"metadata"`
	Type     string            `json:"type"`
}

// Card is what is known of a card.
type Card struct {
	Brand    string `json:"brand"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
}

// List is a list within an object.
type List[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// CheckoutSession is one try to subscribe on Stripe's page.
type CheckoutSession struct {
	Head
	AmountTotal             int64             `json:"amount_total"`
	AmountSubtotal          int64             `json:"amount_subtotal"`
	CancelURL               *string           `json:"cancel_url"`
	ClientReferenceID       *string           `json:"client_reference_id"`
	Currency                string            `json:"currency"`
	Customer                *string           `json:"customer"`
	ExpiresAt               int64             `json:"expires_at"`
	Invoice                 *string           `json:"invoice"`
	LineItems               List[*LineItem]   `json:"_line_items"`
	Metadata                map[string]string `json:"metadata"`
	Mode                    string            `json:"mode"`
	PaymentStatus           string            `json:"payment_status"`
	Status                  string            `json:"status"`
	Subscription            *string           `json:"subscription"`
	SubscriptionData        map[string]string `json:"_subscription_metadata"`
	SuccessURL              *string           `json:"success_url"`
	TrialDays               int64             `json:"_trial_days"`
	URL                     *string           `json:"url"`
	PaymentMethodTypes      []string          `json:"payment_method_types"`
	PaymentMethodCollection string            `json:"payment_method_collection"`
}

// LineItem is one line of a Checkout session.
type LineItem struct {
	ID             string `json:"id"`
	Object         string `json:"object"`
	AmountSubtotal int64  `json:"amount_subtotal"`
	AmountTotal    int64  `json:"amount_total"`
	Currency       string `json:"currency"`
	Description    string `json:"description"`
	Price          string `json:"price"`
	Quantity       int64  `json:"quantity"`
}

// PortalConfiguration is what customers may do in the billing portal.
type PortalConfiguration struct {
	Head
	Active           bool              `json:"active"`
	BusinessProfile  map[string]any    `json:"business_profile"`
	DefaultReturnURL *string           `json:"default_return_url"`
	Features         PortalFeatures    `json:"features"`
	IsDefault        bool              `json:"is_default"`
	Metadata         map[string]string `json:"metadata"`
	Updated          int64             `json:"updated"`
}

// PortalSession is one customer's way into the billing portal.
type PortalSession struct {
	Head
	Configuration string  `json:"configuration"`
	Customer      string  `json:"customer"`
	ReturnURL     *string `json:"return_url"`
	URL           string  `json:"url"`
}

// Event is one thing that happened.
type Event struct {
	Head
	APIVersion string `json:"api_version"`
	Data       struct {
		Object   json.RawMessage `json:"object"`
		Previous map[string]any  `json:"previous_attributes,omitempty"`
	} `json:"data"`
	PendingWebhooks int `json:"pending_webhooks"` // endpoints that have not answered 2xx
	Request         struct {
		ID             *string `json:"id"`
		IdempotencyKey *string `json:"idempotency_key"`
	} `json:"request"`
	Type string `json:"type"`
}

// WebhookEndpoint is where events are sent.
type WebhookEndpoint struct {
	Head
	APIVersion    *string           `json:"api_version"`
	Description   *string           `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Metadata      map[string]string `json:"metadata"`
	Registered    bool              `json:"_registered"` // by the options
	Secret        string            `json:"_secret"`
	Status        string            `json:"status"`
	URL           string            `json:"url"`
}

// TestClock is a time that its customers live by.
type TestClock struct {
	Head
	DeletesAfter int64   `json:"deletes_after"`
	FrozenTime   int64   `json:"frozen_time"`
	Name         *string `json:"name"`
	Status       string  `json:"status"`
}
