package stack_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// client runs the command-line client with a key, the operator's or a tenant's.
func (w *world) client(key string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(binaries, "outpost"), args...)
	home := w.t.TempDir()
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "TZ=UTC", "OUTPOST_URL=" + w.url, "OUTPOST_API_KEY=" + key}
	if args[0] == "admin" {
		cmd.Env[3] = "OUTPOST_OPERATOR_KEY=" + key
	}
	if args[0] == "secrets" {
		cmd.Stdin = strings.NewReader("a-value")
	}
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run() // the exit code tells
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// An operator and a tenant's own people do their work by the client, on a whole
// Outpost: what the operator sets counts from the next request on.
func TestTenantsAndKeysAreRunByTheClient(t *testing.T) {
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, "true"), "http://127.0.0.1:9"))
	does := func(code int, key string, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := w.client(key, args...)
		if got != code {
			t.Fatalf("outpost %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, stdout, stderr)
		}
		return stdout, stderr
	}
	says := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
	}
	operator := w.Demo.OperatorKey
	var team struct {
		ID     string
		APIKey string `json:"api_key"`
	}
	out, _ := does(0, operator, "admin", "tenants", "create", "Acme", "--email", "dev@acme.example", "--agents", "codex", "--json")
	if err := json.Unmarshal([]byte(out), &team); err != nil {
		t.Fatal(err)
	}
	out, _ = does(0, operator, "admin", "tenants")
	says(out, team.ID, "Acme", "operator")

	// The tenant's first key makes one for a machine, which does what it may.
	out, why := does(0, team.APIKey, "keys", "create", "ci", "--scopes", "tasks:write", "--expires", "90d", "--test")
	ci := strings.TrimSpace(out)
	id := strings.Fields(why)[0]
	does(0, ci, "list")
	_, why = does(3, ci, "keys")
	says(why, "insufficient_scope")
	for _, secret := range []string{"OPENAI_API_KEY", "ANTHROPIC_API_KEY"} {
		does(0, team.APIKey, "secrets", "set", secret)
	}
	repo := repository(t, map[string]string{"a.txt": "a\n"})
	submits := []string{"run", "-d", "-r", repo, "--agents", "claude", "--timeout", "10m", "Work."}
	_, why = does(3, ci, submits...)
	says(why, "Your tenant, on the plan free, may use codex.")

	// Two limits by two commands: neither undoes the other, and the key that was just
	// refused is judged by both at once, whatever its authorizer remembers.
	does(0, operator, "admin", "tenants", "update", team.ID, "--agents", "claude,codex", "--runs-per-day", "2")
	does(0, operator, "admin", "tenants", "update", team.ID, "--max-timeout", "20m")
	out, _ = does(0, ci, "limits")
	says(out, "free", "0 of 2", "claude codex", "up to 20m0s")
	does(0, ci, submits...)
	does(0, ci, submits...)
	_, why = does(3, ci, submits...)
	says(why, "may start 2 runs a day; 2 are used and this task wants 1.", "Again from ", "quota_exceeded")

	does(0, operator, "admin", "tenants", "suspend", team.ID)
	_, why = does(3, ci, submits...)
	says(why, "tenant_inactive")
	out, _ = does(0, ci, "limits")
	says(out, "suspended", "2 of 2")
	does(0, operator, "admin", "tenants", "reinstate", team.ID)
	out, _ = does(0, operator, "admin", "tenants", "update", team.ID, "--agents", "plan")
	says(out, "20m0s")

	out, why = does(0, team.APIKey, "keys", "rotate", id, "--overlap", "1h")
	next := strings.TrimSpace(out)
	does(0, next, "list")
	does(0, ci, "list")
	says(why, id)
	does(0, team.APIKey, "keys", "revoke", id)
	_, why = does(3, ci, submits...)
	says(why, "revoked")

	does(2, operator, "admin", "tenants", "close", team.ID)
	out, _ = does(0, operator, "admin", "tenants", "close", "--yes", team.ID)
	says(out, "is closed since", "its data are removed on")
	does(3, next, submits...)
	_, why = does(3, operator, "admin", "tenants", "reinstate", team.ID)
	says(why, "tenant_closed")
}
