package main

// adminCommand is what the operator's key opens.
type adminCommand struct {
	Tenants adminTenantsCommand `cmd:"" help:"The tenants: make, show, change, suspend and close them."`
	Audit   adminAuditCommand   `cmd:"" help:"The exported audit trail of a tenant."`
	Billing adminBillingCommand `cmd:"" help:"What Outpost has at Stripe, and how tenants stand there."`
}
