package stripe

// PortalFeatures are what the billing portal offers.
type PortalFeatures struct {
	CustomerUpdate struct {
		AllowedUpdates []string `json:"allowed_updates"`
		Enabled        bool     `json:"enabled"`
	} `json:"customer_update"`
	InvoiceHistory      Switch `json:"invoice_history"`
	PaymentMethodUpdate Switch `json:"payment_method_update"`
	SubscriptionCancel  struct {
		CancellationReason struct {
			Enabled bool     `json:"enabled"`
			Options []string `json:"options"`
		} `json:"cancellation_reason"`
		Enabled           bool   `json:"enabled"`
		Mode              string `json:"mode"`
		ProrationBehavior string `json:"proration_behavior"`
	} `json:"subscription_cancel"`
	SubscriptionPause  Switch `json:"subscription_pause"`
	SubscriptionUpdate struct {
		DefaultAllowedUpdates []string         `json:"default_allowed_updates"`
		Enabled               bool             `json:"enabled"`
		Products              []PortalProducts `json:"products"`
		ProrationBehavior     string           `json:"proration_behavior"`
	} `json:"subscription_update"`
}

// Switch is a feature that is on or off.
type Switch struct {
	Enabled bool `json:"enabled"`
}

// PortalProducts are prices that a customer may change to.
type PortalProducts struct {
	Prices  []string `json:"prices"`
	Product string   `json:"product"`
}

// read changes a configuration by a request.
func (p *PortalConfiguration) read(r *request) {
	p.Metadata = r.merge("metadata", p.Metadata)
	if r.has("default_return_url") {
		p.DefaultReturnURL = r.optional("default_return_url")
	}
	profile := r.at("business_profile")
	for _, key := range []string{"headline", "privacy_policy_url", "terms_of_service_url"} {
		if profile.has(key) {
			p.BusinessProfile[key] = profile.optional(key)
		}
	}
	r.ignore("login_page")
	f, to := r.at("features"), &p.Features
	on := func(f *form, key string, is bool) (*form, bool) { return f.at(key), f.at(key).flag("enabled", is) }
	var g *form
	if g, to.CustomerUpdate.Enabled = on(f, "customer_update", to.CustomerUpdate.Enabled); g.has("allowed_updates") {
		to.CustomerUpdate.AllowedUpdates = g.texts("allowed_updates")
	}
	_, to.InvoiceHistory.Enabled = on(f, "invoice_history", to.InvoiceHistory.Enabled)
	_, to.PaymentMethodUpdate.Enabled = on(f, "payment_method_update", to.PaymentMethodUpdate.Enabled)
	g, to.SubscriptionCancel.Enabled = on(f, "subscription_cancel", to.SubscriptionCancel.Enabled)
	if g.has("mode") {
		to.SubscriptionCancel.Mode = g.oneOf("mode", "at_period_end", "immediately")
	}
	if g.has("proration_behavior") {
		to.SubscriptionCancel.ProrationBehavior = g.oneOf("proration_behavior", "none", "create_prorations", "always_invoice")
	}
	if g.has("cancellation_reason") {
		reason := g.at("cancellation_reason")
		to.SubscriptionCancel.CancellationReason.Enabled = reason.flag("enabled", false)
		to.SubscriptionCancel.CancellationReason.Options = reason.texts("options")
	}
	g, to.SubscriptionUpdate.Enabled = on(f, "subscription_update", to.SubscriptionUpdate.Enabled)
	if g.has("default_allowed_updates") {
		to.SubscriptionUpdate.DefaultAllowedUpdates = g.texts("default_allowed_updates")
	}
	if g.has("proration_behavior") {
		to.SubscriptionUpdate.ProrationBehavior = g.oneOf("proration_behavior", "none", "create_prorations", "always_invoice")
	}
	if g.has("products") {
		to.SubscriptionUpdate.Products = []PortalProducts{}
		for _, m := range g.list("products") {
			to.SubscriptionUpdate.Products = append(to.SubscriptionUpdate.Products, PortalProducts{m.texts("prices"), m.text("product")})
		}
	}
}
