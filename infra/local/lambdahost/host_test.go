package lambdahost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"outpost/infra/local/lambdahost"
)

// TestMain lets the test binary be a real function over the Runtime API.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("BROKEN") != "" {
		fmt.Println("this function cannot start")
		os.Exit(1)
	}
	lambda.Start(func(ctx context.Context, in request) (answer, error) {
		switch in.Do {
		case "fail":
			return answer{}, errors.New("on purpose")
		case "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "hang":
			select {}
		case "wait":
			for { // until the other one has come
				if _, err := os.Stat(in.File); err == nil {
					break
				}
			}
		case "touch":
			if err := os.WriteFile(in.File, nil, 0o600); err != nil {
				return answer{}, err
			}
		}
		return answer{PID: os.Getpid(), Env: os.Environ()}, nil
	})
}

type request struct{ Do, File string }
type answer struct {
	PID int
	Env []string
}

func newHost(t *testing.T, f lambdahost.Function) *lambdahost.Host {
	t.Helper()
	f.Name, f.Path = "f", os.Args[0]
	if f.Timeout == 0 {
		f.Timeout = 20 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := lambdahost.New(ctx, []lambdahost.Function{f}, &strings.Builder{})
	t.Cleanup(func() { cancel(); h.Close() })
	return h
}

func invoke(t *testing.T, h *lambdahost.Host, in request) (answer, error) {
	t.Helper()
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Invoke(t.Context(), "f", payload)
	var a answer
	if err == nil {
		err = json.Unmarshal(out, &a)
	}
	return a, err
}

func TestAProcessStaysWarmAndInheritsNothing(t *testing.T) {
	t.Setenv("INHERITED", "no")
	h := newHost(t, lambdahost.Function{Env: []string{"GIVEN=yes"}})
	first, err := invoke(t, h, request{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := invoke(t, h, request{})
	if err != nil || first.PID != second.PID {
		t.Errorf("second call: pid %d after %d, %v", second.PID, first.PID, err)
	}
	env := strings.Join(first.Env, "\n")
	if strings.Contains(env, "INHERITED") || !strings.Contains(env, "GIVEN=yes") {
		t.Errorf("environment: %s", env)
	}
	if s := h.Stats()["f"]; s.Invocations != 2 || s.ColdStarts != 1 || s.Ready <= 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestFailuresHaveTheNamesThatLambdaGivesThem(t *testing.T) {
	for _, c := range []struct{ do, want string }{
		{"fail", "errorString"}, {"die", "Runtime.ExitError"}, {"hang", "Sandbox.Timedout"},
	} {
		h := newHost(t, lambdahost.Function{Timeout: 2 * time.Second})
		_, err := invoke(t, h, request{Do: c.do})
		var failed *lambdahost.Error
		if !errors.As(err, &failed) || failed.Type != c.want {
			t.Errorf("%s: %v, want %s", c.do, err, c.want)
		}
		if _, err := invoke(t, h, request{}); err != nil {
			t.Errorf("after %s: %v", c.do, err)
		}
	}
}

func TestAFunctionThatCannotStartFailsItsInvocation(t *testing.T) {
	h := newHost(t, lambdahost.Function{Env: []string{"BROKEN=1"}})
	var failed *lambdahost.Error
	if _, err := invoke(t, h, request{}); !errors.As(err, &failed) || failed.Type != "Runtime.ExitError" {
		t.Errorf("got %v", err)
	}
	if _, err := h.Invoke(t.Context(), "g", nil); !errors.As(err, &failed) || failed.Type != "ResourceNotFoundException" {
		t.Errorf("an unknown function: %v", err)
	}
}

func TestInvocationsAtOnceHaveProcessesOfTheirOwn(t *testing.T) {
	h := newHost(t, lambdahost.Function{})
	file := t.TempDir() + "/came"
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := invoke(t, h, request{Do: "wait", File: file}); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if _, err := invoke(t, h, request{Do: "touch", File: file}); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}
