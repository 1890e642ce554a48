package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"outpost/infra/local/recorder"
	"outpost/infra/local/stack"
	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/topology"
)

// submissions is how many are timed.
const submissions = 200

// bed is a running Outpost and a repository to work on.
type bed struct {
	*stack.Stack
	dir, repo string
}

func newBed(ctx context.Context, root, agents, providerURL string) (*bed, error) {
	dir, err := os.MkdirTemp("", "outpost-bench-")
	if err != nil {
		return nil, err
	}
	b := &bed{dir: dir, repo: filepath.Join(dir, "repository")}
	for _, args := range [][]string{{"init", "-q", "-b", "main", b.repo}, {"-C", b.repo, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first"}} {
		if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	b.Stack, err = stack.Start(ctx, stack.Options{Dir: filepath.Join(dir, "data"), Addr: "127.0.0.1:0", BinDir: filepath.Join(root, "build"), Agents: agents,
		Secrets: stack.Secrets(false, os.Getenv), Plan: "enterprise", ProviderURL: providerURL, Progress: os.Stderr})
	return b, err
}

func (b *bed) close() {
	b.Stop()
	os.RemoveAll(b.dir)
}

// call makes one request of the API and decodes the answer.
func (b *bed) call(ctx context.Context, method, path string, body, out any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		encoded = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, b.URL+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.Demo.APIKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s %w", method, path, res.StatusCode, answer, err)
	}
	return json.Unmarshal(answer, out)
}

// submit submits a task and waits until it has completed, looking every 50 ms.
func (b *bed) submit(ctx context.Context, body map[string]any) (tk api.Task, err error) {
	if err := b.call(ctx, "POST", "/v1/tasks", body, &tk); err != nil {
		return tk, err
	}
	id := tk.ID
	for tk.State != "completed" {
		select {
		case <-clock.System.After(50 * time.Millisecond):
		case <-ctx.Done():
			return tk, ctx.Err()
		}
		if err := b.call(ctx, "GET", "/v1/tasks/"+id, nil, &tk); err != nil {
			return tk, err
		}
	}
	return tk, nil
}

// measureCalls counts what requests and a whole run cost, and times how long a
// submission waits for its worker. The agent is a script that only writes a
// file: what surrounds an agent is measured.
func measureCalls(ctx context.Context, root string, p *page) error {
	agents, err := os.MkdirTemp("", "outpost-bench-agents-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(agents)
	script := "#!/bin/sh\ncat >/dev/null\necho changed > changed.txt\n" +
		`echo '{"type":"turn.completed","usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":1}}'` + "\n"
	if err := os.WriteFile(filepath.Join(agents, "codex"), []byte(script), 0o755); err != nil {
		return err
	}
	b, err := newBed(ctx, root, agents, "http://127.0.0.1:9")
	if err != nil {
		return err
	}
	defer b.close()
	body := map[string]any{"repo": "file://" + b.repo, "prompt": "Write a file.", "agents": []string{"codex"}}

	b.Recorder.Reset()
	tk, err := b.submit(ctx, body)
	if err != nil {
		return err
	}
	p.head("AWS calls of a request, counted", "request", "calls")
	calls := b.Recorder.Calls()
	p.row("authorizer, cold (it also reads the platform's secret once a process)", sum(calls, "authorizer", false))
	p.row("create a task", sum(calls, "api-create-task", false))
	if err := b.quiet(ctx); err != nil { // the last container's end is told after its run was settled
		return err
	}
	b.Recorder.Reset()
	if err := b.call(ctx, "GET", "/v1/tasks/"+tk.ID, nil, &tk); err != nil {
		return err
	}
	p.row("read a task, the authorizer's answer cached", sum(b.Recorder.Calls(), "", false))

	// A second run, so that no cold start is counted.
	meter := b.Meter("api/get-task", "reaper")
	if _, err := b.submit(ctx, body); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	p.head("A whole run, from submission to settlement", "", "")
	calls = b.Recorder.Calls()
	used := meter.Units()
	invoked := int64(0)
	for _, n := range used.Invocations {
		invoked += n
	}
	p.row("DynamoDB read units", fmt.Sprintf("%.1f", used.ReadUnits))
	p.row("DynamoDB write units", fmt.Sprintf("%.1f", used.WriteUnits))
	p.row("state transitions", used.Transitions)
	p.row("function invocations, without reads of the task by the caller", invoked)
	p.row("AWS calls", sum(calls, "", true))

	var waits, whole []time.Duration
	for range submissions {
		began := time.Now()
		tk, err := b.submit(ctx, body)
		if err != nil {
			return err
		}
		wait, err := between(tk.CreatedAt, tk.Runs[0].StartedAt)
		if err != nil {
			return err
		}
		waits, whole = append(waits, wait), append(whole, time.Since(began))
	}
	p.head(fmt.Sprintf("Latency over %d submissions, one after the other", submissions), "", "p50, ms", "p99, ms")
	p.row("submission to worker started (claimed)", millis(quantile(waits, 0.5)), millis(quantile(waits, 0.99)))
	p.row("submission to result read, with an agent that takes no time", millis(quantile(whole, 0.5)), millis(quantile(whole, 0.99)))

	p.head("Functions: from exec", "function", "to ready, ms", "to first answer, ms")
	stats := b.Lambda.Stats()
	for _, f := range topology.Functions {
		if s := stats[f.Name]; s.ColdStarts > 0 {
			p.row(f.Name, millis(s.Ready), millis(s.FirstAnswer))
		}
	}
	return nil
}

// quiet waits until nothing has been called for a while: the last container's
// end is told after its run was settled.
func (b *bed) quiet(ctx context.Context) error {
	for last := -1; last != len(b.Recorder.Calls()); {
		last = len(b.Recorder.Calls())
		select {
		case <-clock.System.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sum lists the calls of a caller (of all, when empty) by action. Long polls of
// the queue are the poller's own and left out; so is what reading a task costs,
// unless it is asked for alone.
func sum(calls []recorder.Call, caller string, whole bool) string {
	counts := map[string]int{}
	for _, c := range calls {
		if c.Caller == "local" || (caller != "" && c.Caller != caller) || (whole && strings.HasPrefix(c.Caller, "api-get-")) {
			continue
		}
		counts[c.Service+" "+c.Action]++
	}
	var out []string
	for action, n := range counts {
		out = append(out, fmt.Sprintf("%d %s", n, action))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func between(from string, to *string) (time.Duration, error) {
	if to == nil {
		return 0, fmt.Errorf("the run never started")
	}
	a, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		return 0, err
	}
	b, err := time.Parse(time.RFC3339Nano, *to)
	return b.Sub(a), err
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}
