package main

// adminCommand is what the operator's key opens.
type adminCommand struct {
	Audit adminAuditCommand `cmd:"" help:"The exported audit trail of a tenant."`
}
