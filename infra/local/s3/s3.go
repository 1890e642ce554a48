// Package s3 runs versitygw, an S3 server, in this process. It is apart from the
// other engines because it is large to compile and few need it.
package s3

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"outpost/infra/local/engines"
)

// Start serves S3 over a folder. There can be one server in a process.
func Start(ctx context.Context, dir string) (*engines.Engine, error) {
	buckets, side := filepath.Join(dir, "buckets"), filepath.Join(dir, "meta")
	for _, d := range []string{buckets, side} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the S3 engine's folder: %w", err)
		}
	}
	port, err := engines.FreePort()
	if err != nil {
		return nil, err
	}
	// Attributes in files, not in xattrs, which not every file system has.
	sidecar, err := meta.NewSideCar(side)
	if err != nil {
		return nil, fmt.Errorf("open the S3 engine's attributes: %w", err)
	}
	backend, err := posix.New(buckets, sidecar, posix.PosixOpts{SideCarDir: side, CopyObjectThreshold: 5 << 30, Concurrency: 64})
	if err != nil {
		return nil, fmt.Errorf("open the S3 engine's folder: %w", err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	run, stop := context.WithCancel(ctx)
	died, ended := make(chan error, 1), make(chan struct{})
	go func() {
		err := embedgw.RunVersityGW(run, backend, &embedgw.Config{RootUserAccess: engines.AccessKey, RootUserSecret: engines.SecretKey,
			Region: engines.Region, Ports: []string{address}, MaxConnections: 1000, MaxRequests: 500, MultipartMaxParts: 10000, Quiet: true})
		died <- fmt.Errorf("the S3 engine ended: %v", err)
		close(ended)
	}()
	return engines.Embedded(ctx, "S3", "http://"+address, died, func() { stop(); <-ended }, ended)
}
