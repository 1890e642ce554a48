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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines"
	"outpost/infra/local/recorder"
	"outpost/infra/local/stack"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/topology"
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
	if !c.Calm {
		go hurt(s, rand.New(rand.NewPCG(c.Seed, 7)))
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		switch orders.Text() {
		case "calm":
			s.Recorder.Inject()
			fmt.Println("calm")
		case "doubles":
			fmt.Println("doubles", s.ECS.Doubles())
		}
	}
	s.Stop()
	return nil
}

// hurt injects faults into the engines' traffic and kills functions and workers
// at random.
func hurt(s *stack.Stack, random *rand.Rand) {
	seeded := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), 3)) }
	s.Recorder.Inject(
		&recorder.Rule{Service: "states", Action: "StartExecution", Probability: 0.5, Effect: recorder.DropRequest, Random: seeded()},
		&recorder.Rule{Service: "states", Probability: 0.1, Effect: recorder.LoseAnswer, Random: seeded()},
		&recorder.Rule{Service: "sqs", Action: "SendMessage", Probability: 0.3, Effect: recorder.DropRequest, Random: seeded()},
		&recorder.Rule{Service: "sqs", Action: "SendMessage", Probability: 0.3, Effect: recorder.Duplicate, Random: seeded()},
		&recorder.Rule{Service: "sqs", Probability: 0.1, Effect: recorder.Delay, Delay: 200 * time.Millisecond, Random: seeded()},
		recorder.Conflict(0.1, seeded()),
		&recorder.Rule{Service: "dynamodb", Probability: 0.03, Effect: recorder.LoseAnswer, Random: seeded()},
		&recorder.Rule{Service: "ecs", Action: "RunTask", Probability: 0.1, Effect: recorder.LoseAnswer, Random: seeded()},
	)
	for {
		select {
		case <-clock.System.After(time.Duration(50+random.IntN(250)) * time.Millisecond):
		case <-s.Failed():
			return
		}
		if random.IntN(4) == 0 {
			if running := s.ECS.Running(); len(running) > 0 {
				s.ECS.Kill(running[random.IntN(len(running))])
			}
			continue
		}
		s.Lambda.Kill(topology.Functions[random.IntN(len(topology.Functions))].Name)
	}
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

// A hundred runs, while functions, workers and the whole of Outpost are killed
// with SIGKILL, requests are dropped, answers lost, messages lost, doubled and
// delayed, and transactions made to conflict.
func TestAHundredRunsEndOnceWhateverIsKilled(t *testing.T) {
	agents := scriptedAgent(t, `sleep 0.2; echo changed >> a.txt`)
	o := options(t, t.TempDir(), agents, "http://127.0.0.1:9")
	o.Addr, o.Progress = freeAddr(t), nil
	v := newVictim(t, chaos{Options: o, Seed: 42})
	repo := repository(t, map[string]string{"a.txt": "a\n"})

	var tasks []string
	var doubles int
	for i := range 25 {
		tasks = append(tasks, v.insist(i, repo))
		if i%8 == 7 {
			v.kill()
			v.told.Seed++
			v.boot()
		}
	}
	for left := 0; ; {
		done := 0
		for _, id := range tasks {
			a, err := v.call("GET", "/v1/tasks/"+id, nil)
			if err == nil && a.status == http.StatusOK && v.read(a).State == "completed" {
				done++
			}
		}
		if done >= len(tasks)/2 && left == 0 {
			left++ // the second half goes on in peace, so that the test ends
			fmt.Sscanf(v.order("doubles"), "doubles %d", &doubles)
			v.kill()
			v.told.Calm = true
			v.boot()
		}
		if done == len(tasks) {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the time is over")
		case <-clock.System.After(200 * time.Millisecond):
		}
		if deadline, ok := t.Deadline(); ok && time.Until(deadline) < time.Minute {
			t.Fatalf("%d of %d tasks have completed", done, len(tasks))
		}
	}
	var more int
	fmt.Sscanf(v.order("doubles"), "doubles %d", &more)
	if doubles+more > 0 {
		t.Errorf("%d containers were started while another of the same run was alive", doubles+more)
	}
	v.kill()
	judge(t, o.Dir, v.tenant, tasks, 4)
	if left := alive(o.Dir); len(left) > 0 {
		t.Errorf("processes outlived Outpost: %v", left)
	}
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
		if err == nil && a.status < 500 {
			v.t.Fatalf("refused: %d %s", a.status, a.body)
		}
	}
	v.t.Fatal("no submission was admitted for a minute")
	return ""
}

// judge reads the table itself: each run ended once, the counters are right.
func judge(t *testing.T, dir, tenantID string, tasks []string, runsPerTask int) {
	t.Helper()
	db, err := engines.DynamoDB(t.Context(), filepath.Join(dir, "dynamodb.sqlite"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Stop()
	store := table.New(dynamodb.NewFromConfig(aws.Config{Region: engines.Region, BaseEndpoint: &db.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")}), "outpost", clock.System)
	ctx := t.Context()
	listed, _, err := store.Tasks(ctx, tenantID, table.TaskRange{}, 1000)
	if err != nil || len(listed) != len(tasks) {
		t.Errorf("%d tasks are stored, %d were admitted, %v", len(listed), len(tasks), err)
	}
	ends := map[string]int{}
	trail, err := store.AuditTrail(ctx, tenantID, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range trail {
		if state, ok := strings.CutPrefix(e.Action, "run."); ok && task.State(state).Terminal() {
			ends[e.Target]++
		}
	}
	succeeded, attempts := 0, 0
	for _, id := range tasks {
		tk, err := store.Task(ctx, tenantID, id)
		if err != nil {
			t.Fatal(err)
		}
		if tk.State != task.Completed || tk.Tally.Remaining != 0 || len(tk.Runs) != runsPerTask {
			t.Errorf("task %s: %s, %+v", id, tk.State, tk.Tally)
		}
		for _, r := range tk.Runs {
			if !r.State.Terminal() || ends[r.ID] != 1 {
				t.Errorf("run %s is %s and ended %d times", r.ID, r.State, ends[r.ID])
			}
			if r.State == task.Succeeded {
				succeeded++
			}
			attempts += r.Attempt.Number
		}
	}
	standing, err := store.Standing(ctx, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, day := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} { // the day may have turned
		n, err := store.DayMeter(ctx, tenantID, day)
		if err != nil {
			t.Fatal(err)
		}
		if used == 0 || day.UTC().Day() != time.Now().UTC().Day() {
			used += n
		}
	}
	if standing.Load.Waiting != 0 || standing.Load.Running != 0 || used != len(tasks)*runsPerTask {
		t.Errorf("at the end the load is %+v and the meter %d", standing.Load, used)
	}
	if succeeded == 0 {
		t.Error("not one run succeeded: the test proves nothing")
	}
	t.Logf("%d of %d runs succeeded, in %d attempts", succeeded, len(tasks)*runsPerTask, attempts)
}

// alive lists processes whose command line or environment names a folder.
func alive(dir string) []string {
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		line, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if p != fmt.Sprintf("/proc/%d", os.Getpid()) && (strings.Contains(string(line), dir) || strings.Contains(string(env), dir)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
