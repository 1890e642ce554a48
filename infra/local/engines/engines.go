// Package engines starts the engines that Outpost's local target does not make
// itself: Dynoxide for DynamoDB, fauxqs for SQS, and versitygw, in this
// process, for S3. Each listens on a free port of the loopback interface and
// ends with this process.
package engines

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"outpost/infra/local/child"
	"outpost/infra/local/install"
)

//go:embed lock
var lockFiles embed.FS

// The credentials of the local target. The S3 engine checks signatures with them.
const (
	AccessKey = "outpostlocal" // letters and digits alone: DynamoDB Local insists
	SecretKey = "outpost-local-only"
	Region    = "us-east-1"
)

// Lock is the set of npm packages that hold the engines.
func Lock() install.Lock {
	files, err := fs.Sub(lockFiles, "lock")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return install.Lock{Name: "engines", Files: files, Megabytes: 15}
}

// Engine is a running engine.
type Engine struct {
	Endpoint string // http://127.0.0.1:port
	// Died receives once if the engine ends on its own account.
	Died <-chan error
	stop func()
}

// Stop ends the engine and waits for that.
func (e *Engine) Stop() { e.stop() }

// DynamoDB starts a DynamoDB engine over a database file, or in memory when
// path is empty. On other platforms than linux/amd64 it uses the engine named
// by OUTPOST_DYNAMODB_ENDPOINT.
func DynamoDB(ctx context.Context, path string, progress io.Writer) (*Engine, error) {
	if endpoint := os.Getenv("OUTPOST_DYNAMODB_ENDPOINT"); endpoint != "" {
		return &Engine{Endpoint: endpoint, stop: func() {}}, nil
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the embedded DynamoDB engine is for linux/amd64: start DynamoDB Local (Java 17) and name it in OUTPOST_DYNAMODB_ENDPOINT")
	}
	dir, err := install.NPM(ctx, Lock(), progress)
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--host", "127.0.0.1"}
	if path != "" {
		args = append(args, "--db-path", path)
	}
	return start(ctx, "DynamoDB", func(port int) *exec.Cmd {
		bin := filepath.Join(dir, "node_modules/@dynoxide/linux-x64/dynoxide")
		return exec.Command(bin, append(args, "--port", strconv.Itoa(port))...)
	})
}

// SQS starts an SQS engine; it keeps messages in memory only.
func SQS(ctx context.Context, progress io.Writer) (*Engine, error) {
	dir, err := install.NPM(ctx, Lock(), progress)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("node is not on the PATH; Node 20 or newer is needed")
	}
	return start(ctx, "SQS", func(port int) *exec.Cmd {
		cmd := exec.Command(node, filepath.Join(dir, "node_modules/.bin/fauxqs"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "FAUXQS_PORT=" + strconv.Itoa(port), "FAUXQS_LOGGER=false"}
		return cmd
	})
}

// start runs a command that listens on a free port and waits until it answers.
func start(ctx context.Context, name string, command func(port int) *exec.Cmd) (*Engine, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	cmd := command(port)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to handle
	if err := child.Start(cmd); err != nil {
		return nil, fmt.Errorf("start the %s engine: %w", name, err)
	}
	died, ended := make(chan error, 1), make(chan struct{})
	go func() {
		err := cmd.Wait()
		died <- fmt.Errorf("the %s engine died (%v): %s", name, err, out.String())
		close(ended)
	}()
	e, err := Embedded(ctx, name, fmt.Sprintf("http://127.0.0.1:%d", port), died, func() {
		_ = cmd.Process.Kill()
		<-ended
	}, ended)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out.String())
	}
	return e, nil
}

// Embedded waits until an engine that was started elsewhere answers; one that
// does not is stopped.
func Embedded(ctx context.Context, name, endpoint string, died <-chan error, stop func(), ended <-chan struct{}) (*Engine, error) {
	if err := answers(ctx, endpoint, ended); err != nil {
		stop()
		return nil, fmt.Errorf("the %s engine does not answer: %w", name, err)
	}
	return &Engine{Endpoint: endpoint, Died: died, stop: stop}, nil
}

// answers waits until an HTTP server answers anything.
func answers(ctx context.Context, endpoint string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// A connection of its own each time: one that is closed with an unread
	// answer must not come back from a pool that others use.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// FreePort returns a port of the loopback interface that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// tail keeps the end of what an engine prints, for the sentence of its death.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.buf.Len() > 4<<10 {
		t.buf.Reset()
	}
	return t.buf.Write(p)
}

func (t *tail) String() string { return strings.TrimSpace(t.buf.String()) }
