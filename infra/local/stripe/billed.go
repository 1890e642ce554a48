package stripe

// Subscription is a customer's claim to a product, period by period.
type Subscription struct {
	Head
	BillingCycleAnchor   int64                        `json:"billing_cycle_anchor"`
	CancelAt             *int64                       `json:"cancel_at"`
	CancelAtPeriodEnd    bool                         `json:"cancel_at_period_end"`
	CanceledAt           *int64                       `json:"canceled_at"`
	CancellationDetails  CancellationDetails          `json:"cancellation_details"`
	Currency             string                       `json:"currency"`
	CurrentPeriodEnd     int64                        `json:"current_period_end"`
	CurrentPeriodStart   int64                        `json:"current_period_start"`
	Customer             string                       `json:"customer"`
	DefaultPaymentMethod *string                      `json:"default_payment_method"`
	EndedAt              *int64                       `json:"ended_at"`
	Items                List[*SubscriptionItem]      `json:"items"`
	LatestInvoice        *string                      `json:"latest_invoice"`
	Metadata             map[string]string            `json:"metadata"`
	PauseCollection      *PauseCollection             `json:"pause_collection"`
	PendingUpdate        *PendingUpdate               `json:"pending_update"`
	Schedule             *string                      `json:"schedule"`
	StartDate            int64                        `json:"start_date"`
	Status               string                       `json:"status"`
	TestClock            *string                      `json:"test_clock"`
	TrialEnd             *int64                       `json:"trial_end"`
	TrialSettings        map[string]map[string]string `json:"trial_settings"`
	TrialStart           *int64                       `json:"trial_start"`

	Announced int64          `json:"_announced"` // end of the period whose invoice.upcoming was sent
	Warned    bool           `json:"_warned"`    // trial_will_end was sent
	Prorated  []*InvoiceLine `json:"_prorated"`  // for the next invoice
}

// SubscriptionItem is one price of a subscription.
type SubscriptionItem struct {
	Head
	Metadata     map[string]string `json:"metadata"`
	Price        string            `json:"price"` // its id; shown whole
	Quantity     int64             `json:"quantity"`
	Subscription string            `json:"subscription"`
}

// CancellationDetails say why a subscription ends.
type CancellationDetails struct {
	Comment  *string `json:"comment"`
	Feedback *string `json:"feedback"`
	Reason   *string `json:"reason"`
}

// PauseCollection stops the charging of invoices, not the subscription.
type PauseCollection struct {
	Behavior  string `json:"behavior"`
	ResumesAt *int64 `json:"resumes_at"`
}

// PendingUpdate is a change that waits for its invoice to be paid.
type PendingUpdate struct {
	BillingCycleAnchor *int64              `json:"billing_cycle_anchor"`
	ExpiresAt          int64               `json:"expires_at"`
	Items              []*SubscriptionItem `json:"subscription_items"`
	TrialEnd           *int64              `json:"trial_end"`
	TrialFromPlan      *bool               `json:"trial_from_plan"`
	Invoice            string              `json:"_invoice"`
}

// Schedule changes a subscription at times set before.
type Schedule struct {
	Head
	CanceledAt   *int64            `json:"canceled_at"`
	CompletedAt  *int64            `json:"completed_at"`
	CurrentPhase *Span             `json:"current_phase"`
	Customer     string            `json:"customer"`
	EndBehavior  string            `json:"end_behavior"`
	Metadata     map[string]string `json:"metadata"`
	Phases       []*Phase          `json:"phases"`
	ReleasedAt   *int64            `json:"released_at"`
	Released     *string           `json:"released_subscription"`
	Status       string            `json:"status"`
	Subscription *string           `json:"subscription"`
	TestClock    *string           `json:"test_clock"`
}

// Span is a phase's time.
type Span struct {
	StartDate int64 `json:"start_date"`
	EndDate   int64 `json:"end_date"`
}

// Phase is what a subscription is for a time.
type Phase struct {
	Object string `json:"_object"` // its kind among the constants
	Span
	Currency          string            `json:"currency"`
	Items             []*PhaseItem      `json:"items"`
	Metadata          map[string]string `json:"metadata"`
	ProrationBehavior string            `json:"proration_behavior"`
}

// PhaseItem is one price of a phase.
type PhaseItem struct {
	Object   string            `json:"_object"`
	Metadata map[string]string `json:"metadata"`
	Price    string            `json:"price"`
	Quantity int64             `json:"quantity"`
}

// Invoice is what a customer owes. Amounts are cents.
type Invoice struct {
	Head
	AmountDue            int64               `json:"amount_due"`
	AmountPaid           int64               `json:"amount_paid"`
	AmountRemaining      int64               `json:"amount_remaining"`
	AttemptCount         int64               `json:"attempt_count"`
	Attempted            bool                `json:"attempted"`
	AutoAdvance          bool                `json:"auto_advance"`
	BillingReason        string              `json:"billing_reason"`
	Charge               *string             `json:"charge"`
	Currency             string              `json:"currency"`
	Customer             string              `json:"customer"`
	CustomerEmail        *string             `json:"customer_email"`
	CustomerName         *string             `json:"customer_name"`
	EffectiveAt          *int64              `json:"effective_at"`
	EndingBalance        *int64              `json:"ending_balance"`
	HostedInvoiceURL     *string             `json:"hosted_invoice_url"`
	Lines                List[*InvoiceLine]  `json:"lines"`
	Metadata             map[string]string   `json:"metadata"`
	NextPaymentAttempt   *int64              `json:"next_payment_attempt"`
	Number               *string             `json:"number"`
	Paid                 bool                `json:"paid"`
	PaymentIntent        *string             `json:"payment_intent"`
	PeriodEnd            int64               `json:"period_end"`
	PeriodStart          int64               `json:"period_start"`
	StartingBalance      int64               `json:"starting_balance"`
	Status               string              `json:"status"`
	StatusTransitions    StatusTransitions   `json:"status_transitions"`
	Subscription         *string             `json:"subscription"`
	SubscriptionDetails  SubscriptionDetails `json:"subscription_details"`
	Subtotal             int64               `json:"subtotal"`
	SubtotalExcludingTax int64               `json:"subtotal_excluding_tax"`
	TestClock            *string             `json:"test_clock"`
	Total                int64               `json:"total"`
	TotalExcludingTax    int64               `json:"total_excluding_tax"`

	FinalizeAt int64 `json:"_finalize_at"` // of a draft that goes on by itself; 0 for none
}

// StatusTransitions are when an invoice became what.
type StatusTransitions struct {
	FinalizedAt           *int64 `json:"finalized_at"`
	MarkedUncollectibleAt *int64 `json:"marked_uncollectible_at"`
	PaidAt                *int64 `json:"paid_at"`
	VoidedAt              *int64 `json:"voided_at"`
}

// SubscriptionDetails are the subscription's metadata when the invoice was made.
type SubscriptionDetails struct {
	Metadata map[string]string `json:"metadata"`
}

// InvoiceLine is one line of an invoice.
type InvoiceLine struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Amount           int64             `json:"amount"`
	Currency         string            `json:"currency"`
	Description      string            `json:"description"`
	Metadata         map[string]string `json:"metadata"`
	Period           Period            `json:"period"`
	Price            string            `json:"price"`
	Proration        bool              `json:"proration"`
	Quantity         int64             `json:"quantity"`
	Subscription     string            `json:"subscription"`
	SubscriptionItem string            `json:"subscription_item"`
	Type             string            `json:"type"`
}

// Period is what a line is for.
type Period struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// PaymentIntent is the try to have an invoice paid.
type PaymentIntent struct {
	Head
	Amount           int64             `json:"amount"`
	AmountReceived   int64             `json:"amount_received"`
	Currency         string            `json:"currency"`
	Customer         *string           `json:"customer"`
	Invoice          *string           `json:"invoice"`
	LastPaymentError *PaymentError     `json:"last_payment_error"`
	LatestCharge     *string           `json:"latest_charge"`
	Metadata         map[string]string `json:"metadata"`
	PaymentMethod    *string           `json:"payment_method"`
	Status           string            `json:"status"`
}

// PaymentError is why a payment failed.
type PaymentError struct {
	Type        string `json:"type"`
	Code        string `json:"code"`
	DeclineCode string `json:"decline_code,omitempty"`
	Message     string `json:"message"`
}

// Charge is one try at a card.
type Charge struct {
	Head
	Amount         int64             `json:"amount"`
	AmountCaptured int64             `json:"amount_captured"`
	AmountRefunded int64             `json:"amount_refunded"`
	Captured       bool              `json:"captured"`
	Currency       string            `json:"currency"`
	Customer       *string           `json:"customer"`
	Disputed       bool              `json:"disputed"`
	FailureCode    *string           `json:"failure_code"`
	FailureMessage *string           `json:"failure_message"`
	Invoice        *string           `json:"invoice"`
	Metadata       map[string]string `json:"metadata"`
	Paid           bool              `json:"paid"`
	PaymentIntent  *string           `json:"payment_intent"`
	PaymentMethod  *string           `json:"payment_method"`
	Refunded       bool              `json:"refunded"`
	Status         string            `json:"status"`
}

// Dispute is a charge that the card's holder contests.
type Dispute struct {
	Head
	Amount        int64             `json:"amount"`
	Charge        string            `json:"charge"`
	Currency      string            `json:"currency"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent *string           `json:"payment_intent"`
	Reason        string            `json:"reason"`
	Status        string            `json:"status"`
}

// Refund gives a charge back.
type Refund struct {
	Head
	Amount        int64             `json:"amount"`
	Charge        string            `json:"charge"`
	Currency      string            `json:"currency"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent *string           `json:"payment_intent"`
	Reason        *string           `json:"reason"`
	Status        string            `json:"status"`
}
