package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/audit"
)

type adminAuditCommand struct {
	Verify adminAuditVerifyCommand `cmd:"" help:"Read every export of a tenant's audit trail and say what was changed, removed or cut off."`
}

type adminAuditVerifyCommand struct {
	Tenant tenantID  `arg:"" help:"Id of the tenant, ten_…"`
	Noted  notedHead `placeholder:"HASH" help:"A head that an earlier verification told: who rewrote the table and the exports alike is found by it."`
	JSON   bool      `name:"json" help:"Write one JSON object."`
}

// notedHead is the SHA-256 of a manifest, in hex.
type notedHead string

// Validate is called by the parser.
func (n notedHead) Validate() error {
	if raw, err := hex.DecodeString(string(n)); err != nil || len(raw) != sha256.Size || strings.ToLower(string(n)) != string(n) {
		return fmt.Errorf("%q is no head of a verification (64 digits of hex, in lower case)", string(n))
	}
	return nil
}

// verification is what a verification found.
type verification struct {
	Tenant  string            `json:"tenant"`
	Whole   bool              `json:"whole"`
	Exports int               `json:"exports"`
	Events  int               `json:"events"`
	Head    *client.AuditHead `json:"head"`
	Faults  []audit.Fault     `json:"faults"`
}

// Run ends with 1 when anything is wrong.
func (c *adminAuditVerifyCommand) Run(s *session) error {
	tenant := string(c.Tenant)
	v := verification{Tenant: tenant, Faults: []audit.Fault{}}
	var found []audit.Found
	for cursor, more := "", true; more; {
		page, err := s.api.AuditExports(s.ctx, tenant, cursor)
		if err != nil {
			return err
		}
		for _, e := range page.Data {
			f, err := s.fetchExport(tenant, e)
			if err != nil {
				return err
			}
			if f.File != nil {
				v.Events += f.File.Events
			}
			found = append(found, f)
		}
		v.Head, cursor, more = page.Head, page.NextCursor, page.HasMore
	}
	var head *audit.Link
	if v.Head != nil {
		head = &audit.Link{Sequence: v.Head.Sequence, Ref: audit.Ref{Day: v.Head.Day, SHA256: v.Head.ManifestSHA256}}
	}
	v.Faults = append(v.Faults, audit.Verify(tenant, head, found, string(c.Noted))...)
	v.Exports, v.Whole = len(found), len(v.Faults) == 0
	if err := s.showVerification(v, c.JSON); err != nil {
		return err
	}
	if !v.Whole {
		return failed("the exported audit trail of %s is not whole", tenant)
	}
	return nil
}

// maxManifest is more than a manifest has, in bytes.
const maxManifest = 64 << 10

// fetchExport reads the parts of an export from the bucket.
func (s *session) fetchExport(tenant string, e client.AuditExport) (audit.Found, error) {
	f := audit.Found{Link: audit.Link{Sequence: e.Sequence, Ref: audit.Ref{Day: e.Day, SHA256: e.ManifestSHA256}}}
	if _, err := s.api.Read(s.ctx, e.ManifestURL, func(r io.Reader) (err error) {
		f.Manifest, err = io.ReadAll(io.LimitReader(r, maxManifest))
		return err
	}); err != nil {
		return f, err
	}
	var digest audit.Digest
	there, err := s.api.Read(s.ctx, e.FileURL, func(r io.Reader) (err error) {
		digest, err = audit.DigestOf(tenant, r)
		return err
	})
	if there {
		f.File = &digest
	}
	return f, err
}

func (s *session) showVerification(v verification, asJSON bool) error {
	if asJSON {
		return s.writeJSON(v)
	}
	if v.Whole {
		text := fmt.Sprintf("%s: %s, %s, whole.\n", v.Tenant, table.Count(v.Exports, "export"), table.Count(v.Events, "event"))
		if v.Head != nil {
			text += fmt.Sprintf("The head is of %s: %s\n", v.Head.Day, v.Head.ManifestSHA256)
		}
		_, err := io.WriteString(s.stdout, text)
		return err
	}
	var rows [][]table.Cell
	for _, f := range v.Faults {
		day := f.Day
		if day == "" {
			day = "the chain"
		}
		rows = append(rows, []table.Cell{{Text: day, Style: table.Strong}, {Text: f.What}})
	}
	return s.writeTable([]table.Column{{Title: "DAY"}, {Title: "WHAT IS WRONG"}}, rows)
}
