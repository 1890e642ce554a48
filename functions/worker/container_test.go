package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"outpost/functions/worker/internal/sandbox"
	"outpost/shared/runner"
	"outpost/shared/task"
	"outpost/shared/topology"
)

// build builds the worker's binary.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The binary itself, as pid 1 of a namespace, with a hostile agent that reads
// all it can of the worker that drives it.
func TestTheBinaryInAContainerOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.api.claim.Checkout.GitHost, w.api.claim.Checkout.GitToken = "git.example.com", "git-"+strings.Repeat("T0", 10)
	w.api.claim.Verify = "test -s found"
	w.api.claim.Prompt = `ask
(setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' &)
{ env; tr '\0' '\n' < /proc/$PPID/environ; for p in $(cat /proc/self/stat | cut -d' ' -f4) $(ls /proc | grep '^[0-9]*$' | tail -20); do
  grep -qa OUTPOST_RUN=run_x_01 /proc/$p/environ 2>/dev/null && tr '\0' '\n' < /proc/$p/environ; done; } > found 2>/dev/null; true`
	cmd := exec.Command(build(t))
	cmd.Env = []string{"PATH=" + w.settings.Path, "TMPDIR=" + w.settings.Scratch, topology.EnvAgents + "=" + w.settings.Agents,
		runner.EnvAPI + "=" + w.settings.API, runner.EnvRun + "=run_x_01", runner.EnvAttempt + "=2", runner.EnvTicket + "=" + w.api.ticket}
	uid := os.Getuid()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	level := sandbox.LevelNamespace
	if err != nil && cmd.ProcessState == nil {
		t.Logf("this kernel refuses namespaces: %v", err)
		level = sandbox.LevelProcess
		plain := exec.Command(cmd.Path)
		plain.Env = cmd.Env
		out, err = plain.CombinedOutput()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.logged.Write(out)
	r := w.api.result
	w.ended(r, task.Succeeded, "")
	if r.Isolation != level || r.Verify.State != task.VerifyPassed {
		t.Errorf("isolation %q, verify %+v", r.Isolation, r.Verify)
	}
	everything := w.api.all() + string(out)
	for name, secret := range map[string]string{"provider key": providerKey, "run token": runToken, "ticket": w.api.ticket, "git token": w.api.claim.Checkout.GitToken} {
		if strings.Contains(everything, secret) {
			t.Errorf("the %s left the worker", name)
		}
	}
	// What was scrubbed on its way out had been in the agent's hands.
	for _, name := range []string{"ANTHROPIC_API_KEY", "RUN_TOKEN", "GIT_TOKEN"} {
		if strings.Contains(everything, "[redacted:"+name+"]") {
			t.Errorf("the agent could read %s", name)
		}
	}
}

func TestSettings(t *testing.T) {
	good := map[string]string{runner.EnvAPI: "https://api.example.com/", runner.EnvRun: "run_x_01", runner.EnvAttempt: "2", runner.EnvTicket: "t"}
	read := func(changed, to string) (Settings, error) {
		return readSettings(func(name string) string {
			if name == changed {
				return to
			}
			return good[name]
		})
	}
	if s, err := read("", ""); err != nil || s.API != "https://api.example.com" || s.Attempt != 2 || s.Agents != defaultAgents || s.Path != defaultPath {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range []struct{ why, name, value string }{
		{"no API", runner.EnvAPI, ""}, {"an API that is no URL", runner.EnvAPI, "api.example.com"}, {"another scheme", runner.EnvAPI, "ftp://api.example.com"},
		{"no run", runner.EnvRun, ""}, {"no attempt", runner.EnvAttempt, ""}, {"attempt 0", runner.EnvAttempt, "0"}, {"no ticket", runner.EnvTicket, ""},
		{"agents in a relative folder", topology.EnvAgents, "agents"}, {"a relative scratch folder", "TMPDIR", "tmp"},
	} {
		if _, err := read(c.name, c.value); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v, want an error that names %s", c.why, err, c.name)
		}
	}
}
