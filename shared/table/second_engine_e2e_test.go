//go:build e2e

package table_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"outpost/infra/local/engines"
)

// TestE2EEveryTestHoldsOnDynamoDBLocal runs this package's tests once more, on
// Amazon's own engine.
func TestE2EEveryTestHoldsOnDynamoDBLocal(t *testing.T) {
	e, err := engines.DynamoDBLocal(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.v", "-test.run", "^Test[^E]")
	cmd.Env = append(os.Environ(), "OUTPOST_DYNAMODB_ENDPOINT="+e.Endpoint)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 10 {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%d tests passed", strings.Count(string(out), "\n--- PASS"))
}
