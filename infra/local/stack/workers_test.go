package stack_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/sdktest"
	secrets "outpost/infra/local/secretsmanager"
	"outpost/shared/platform"
	"outpost/shared/token"
)

// workers signs workers' tokens as Outpost does.
type workers struct{ signer *token.Signer }

func workersTokens(t *testing.T, w *world) workers {
	t.Helper()
	sec, err := platform.Load(t.Context(), secretsmanager.NewFromConfig(sdktest.Config(t, w.Recorder)), secrets.ARN("outpost/platform"))
	if err != nil {
		t.Fatal(err)
	}
	return workers{sec.Signer()}
}

// of is a worker's token, by the contract's name of its kind.
func (w workers) of(scheme, tenantID, run string) string {
	return w.until(scheme, tenantID, run, time.Now().Add(time.Hour))
}

// expired is one whose time is over.
func (w workers) expired(scheme, tenantID, run string) string {
	return w.until(scheme, tenantID, run, time.Now().Add(-time.Second))
}

func (w workers) until(scheme, tenantID, run string, at time.Time) string {
	c := token.Claims{Kind: token.Run, Tenant: tenantID, Run: run, Attempt: 1, Nonce: strings.Repeat("0", 32), Expires: at.Unix()}
	if scheme == "ticket" {
		c.Kind, c.Nonce = token.Ticket, ""
	}
	return w.signer.Sign(c)
}
