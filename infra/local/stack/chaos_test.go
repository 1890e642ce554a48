package stack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
	"outpost/infra/local/stack"
	"outpost/shared/clock"
	"outpost/shared/plan"
)

// chaos is what a stack in a process of its own is told.
type chaos struct {
	Options stack.Options
	Seed    uint64
	Calm    bool // no faults: only this process is killed
}

const envChaos = "OUTPOST_TEST_CHAOS"

// TestMain lets the test binary be a whole Outpost, which another process kills.
func TestMain(m *testing.M) {
	if told := os.Getenv(envChaos); told != "" {
		if err := outpost(told); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// outpost serves a stack and hurts it, until it is killed or its input ends.
func outpost(told string) error {
	var c chaos
	if err := json.Unmarshal([]byte(told), &c); err != nil {
		return err
	}
	c.Options.Progress = os.Stderr
	s, err := stack.Start(context.Background(), c.Options)
	if err != nil {
		return err
	}
	fmt.Println("ready", s.Demo.APIKey, s.Demo.Tenant)
	seen := watch(s)
	if !c.Calm {
		go seen.hurt(s, rand.New(rand.NewPCG(c.Seed, 7)))
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		switch orders.Text() {
		case "calm":
			s.Recorder.Inject()
			fmt.Println("calm")
		case "seen":
			told, err := json.Marshal(seen.told(s))
			if err != nil {
				return err
			}
			fmt.Println("seen", string(told))
		}
	}
	s.Stop()
	return nil
}

// victim is a whole Outpost in a process of its own.
type victim struct {
	*world
	told   chaos
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	orders interface{ Write([]byte) (int, error) }
	tenant string
}

func newVictim(t *testing.T, told chaos) *victim {
	t.Helper()
	v := &victim{world: &world{t: t, url: "http://" + told.Options.Addr}, told: told}
	v.boot()
	t.Cleanup(func() {
		v.kill()
		if t.Failed() {
			logs, _ := os.ReadFile(filepath.Join(told.Options.Dir, "outpost.log"))
			t.Logf("the end of Outpost's log:\n%s", logs[max(0, len(logs)-6000):])
		}
	})
	return v
}

func (v *victim) boot() {
	v.t.Helper()
	told, err := json.Marshal(v.told)
	if err != nil {
		v.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	v.cmd = exec.Command(self)
	v.cmd.Env = append(os.Environ(), envChaos+"="+string(told))
	v.cmd.Dir = v.told.Options.Dir
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	v.cmd.Stderr = v.t.Output()
	in, err := v.cmd.StdinPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.orders, v.lines = in, bufio.NewScanner(out)
	words := strings.Fields(v.expect("ready"))
	v.key, v.tenant = words[1], words[2]
}

// expect reads lines until one begins with a word.
func (v *victim) expect(word string) string {
	v.t.Helper()
	for v.lines.Scan() {
		if strings.HasPrefix(v.lines.Text(), word) {
			return v.lines.Text()
		}
		if strings.HasPrefix(v.lines.Text(), "error") {
			v.t.Fatal(v.lines.Text())
		}
	}
	v.t.Fatal("Outpost ended")
	return ""
}

func (v *victim) order(word string) string {
	v.t.Helper()
	if _, err := v.orders.Write([]byte(word + "\n")); err != nil {
		v.t.Fatal(err)
	}
	return v.expect(word)
}

// kill kills Outpost with SIGKILL; everything it started has to die with it.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestGuaranteeRunsEndOnceWhateverIsKilled kills functions, workers and the whole
// of Outpost with SIGKILL at random moments while it works off 400 runs of one
// tenant, drops requests and answers, loses, doubles and delays messages, and
// makes transactions conflict; for the second half of the runs only Outpost is
// killed. Every 20 ms, through all of that, the tenant's slots, its runs in flight
// and its containers are counted. At the end each run has ended once, no slot
// is taken, the meter has each run once, and no process is left. What happens at
// each single step is the reaper's proof.
func TestGuaranteeRunsEndOnceWhateverIsKilled(t *testing.T) {
	g := guarantee.For(t, "tenancy-2", "However Outpost is killed, a tenant is never above its cap, and no slot is lost.")
	agents := scriptedAgent(t, `sleep 0.2; echo changed >> a.txt`)
	o := options(t, t.TempDir(), agents, "http://127.0.0.1:9")
	o.Addr, o.Progress, o.Plan = freeAddr(t), nil, "pro"
	if guarantee.Full() {
		o.Plan = "enterprise" // pro allows 100 runs a day
	}
	limits, _ := plan.Lookup(o.Plan)
	v := newVictim(t, chaos{Options: o, Seed: 42})
	repo := repository(t, map[string]string{"a.txt": "a\n"})

	const runsPerTask = 4
	all := seen{}
	open := map[string]bool{}
	var tasks []string
	crash := func() {
		all.add(v.seen())
		v.kill()
		v.told.Seed++
		v.boot()
	}
	for i := range g.Pick(400, 100) / runsPerTask {
		tasks = append(tasks, v.insist(i, repo))
		open[tasks[i]] = true
		if i%8 == 7 {
			crash()
		}
	}
	for len(open) > 0 {
		looked := 0
		for _, id := range tasks {
			if !open[id] || looked == 20 {
				continue
			}
			looked++
			a, err := v.call("GET", "/v1/tasks/"+id, nil)
			if err == nil && a.status == http.StatusOK && v.read(a).State == "completed" {
				delete(open, id)
			}
		}
		if len(open) <= len(tasks)/2 && !v.told.Calm {
			v.told.Calm = true // the second half goes on in peace, so that the test ends
			crash()
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the time is over")
		case <-clock.System.After(200 * time.Millisecond):
		}
		if deadline, ok := t.Deadline(); ok && time.Until(deadline) < time.Minute {
			t.Fatalf("%d of %d tasks have not completed", len(open), len(tasks))
		}
	}
	all.add(v.seen())
	if all.Doubles > 0 {
		t.Errorf("%d containers were started while another of the same run was alive", all.Doubles)
	}
	if all.Slots > limits.ConcurrentRuns || all.Apart > 0 {
		t.Errorf("%d slots were taken, the cap is %d; %d of %d looks saw another number of runs in flight", all.Slots, limits.ConcurrentRuns, all.Apart, all.Still)
	}
	if all.Slots < limits.ConcurrentRuns || all.Still < 100 {
		t.Errorf("%d looks, %d while nothing moved, at most %d slots taken: the cap of %d was never reached", all.Looks, all.Still, all.Slots, limits.ConcurrentRuns)
	}
	v.kill()
	found := judge(t, o.Dir, v.tenant, tasks, runsPerTask)
	if left := alive(o.Dir); len(left) > 0 {
		t.Errorf("processes outlived Outpost: %v", left)
	}
	g.Figure("runs", fmt.Sprintf("%d, in %d attempts; %d succeeded", runsPerTask*len(tasks), found.attempts, found.succeeded))
	g.Figure("kills", fmt.Sprintf("%d of functions, %d of workers, %d of Outpost", all.Functions, all.Workers, v.told.Seed-42+1))
	g.Figure("cap", fmt.Sprintf("%d slots; in %d looks at most %d were taken; in the %d during which none moved there was a run in flight for each",
		limits.ConcurrentRuns, all.Looks, all.Slots, all.Still))
	g.Figure("containers alive at once, at most", fmt.Sprintf("%d: one that has reported its result no longer takes a slot", all.Containers))
	g.Figure("slots taken at the end", found.slots)
	g.Figure("runs that ended twice or never", found.wrong)
	g.Figure("seeds", fmt.Sprintf("42 to %d, one for each time that Outpost starts", v.told.Seed))
}

// insist submits a task of four runs until it is admitted; the idempotency key
// makes it one task.
func (v *victim) insist(i int, repo string) string {
	v.t.Helper()
	body := map[string]any{"repo": repo, "prompt": "Work.", "agents": []string{"codex", "codex", "codex", "codex"}, "verify": "grep -q changed a.txt"}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		a, err := v.call("POST", "/v1/tasks", body, "Idempotency-Key", fmt.Sprint("chaos-", i))
		if err == nil && a.status == http.StatusAccepted {
			return v.read(a).ID
		}
		if err == nil && a.status < 500 && a.status != http.StatusTooManyRequests {
			v.t.Fatalf("refused: %d %s", a.status, a.body)
		}
	}
	v.t.Fatal("no submission was admitted for a minute")
	return ""
}
