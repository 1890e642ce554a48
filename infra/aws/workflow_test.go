package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/asl"
	"outpost/shared/agent"
	"outpost/shared/id"
	"outpost/shared/runner"
	"outpost/shared/token"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

// The template carries the machine of shared/workflow to the letter, with an ARN
// for each placeholder; no tool checks a definition that has placeholders, so
// the states are walked here.
func TestTheStateMachineIsTheOneThatRunsLocally(t *testing.T) {
	for _, name := range names {
		c, e := clouds[name], environment(name)
		machines := c.all("AWS::StepFunctions::StateMachine")
		if len(machines) != 1 || machines[0].get("DefinitionString") != workflow.Definition {
			t.Fatalf("%s: %v", name, machines)
		}
		m := machines[0]
		substitutions, _ := m.get("DefinitionSubstitutions").(map[string]any)
		definition := workflow.Definition
		for placeholder, function := range workflow.Placeholders {
			arn := c.text(m.stack, substitutions[placeholder])
			if got := c.named(e, arn); got != function {
				t.Errorf("%s: %s stands for %s, want %s", name, placeholder, got, function)
			}
			definition = strings.ReplaceAll(definition, "${"+placeholder+"}", "arn")
		}
		if len(substitutions) != len(workflow.Placeholders) || strings.Contains(definition, "${") {
			t.Errorf("%s: placeholders and substitutions differ: %v", name, substitutions)
		}
	}
	walk(t, workflow.Definition)
}

// walk checks that every state is reached from the start, that every Next
// exists, and that every path can end.
func walk(t *testing.T, definition string) {
	t.Helper()
	var machine struct {
		StartAt string
		States  map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(definition), &machine); err != nil {
		t.Fatal(err)
	}
	reached, ends := map[string]bool{}, 0
	var visit func(from, name string)
	visit = func(from, name string) {
		s, ok := machine.States[name]
		if !ok {
			t.Errorf("%s leads to %q, which does not exist", from, name)
			return
		}
		if reached[name] {
			return
		}
		reached[name] = true
		next := 0
		for _, way := range append([]any{s}, append(list(s["Catch"]), list(s["Choices"])...)...) {
			if to, ok := dig(way, "Next").(string); ok {
				visit(name, to)
				next++
			}
		}
		if to, ok := s["Default"].(string); ok {
			visit(name, to)
			next++
		}
		if end := s["Type"] == "Succeed" || s["Type"] == "Fail" || s["End"] == true; end == (next > 0) {
			t.Errorf("%s leads to %d states and ends: %v", name, next, end)
		} else if end {
			ends++
		}
	}
	visit("StartAt", machine.StartAt)
	for name := range machine.States {
		if !reached[name] {
			t.Errorf("nothing leads to %s", name)
		}
	}
	if ends == 0 {
		t.Error("it never ends")
	}
}

// Limits of AWS in bytes, from its documentation.
const (
	maxExecutionInput = 256 << 10
	maxMessage        = 256 << 10
	maxOverrides      = 8192
	maxTaskToken      = 2048
)

func TestPayloadsStayFarBelowTheirLimits(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	tenant, run := id.New(id.Tenant, at), id.ForRun(id.New(id.Task, at), 99)
	input, err := json.Marshal(workflow.Input{Tenant: tenant, Run: run, Start: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	// What the machine passes on grows by the answers of its functions: launch
	// answers nothing, settle three short fields; each goes to a place of its own.
	if n := len(input) + maxTaskToken + 1024; n > maxExecutionInput/10 {
		t.Errorf("%d bytes go through the state machine", n)
	}
	if n := len(tenant) + 100; n > maxMessage/10 {
		t.Errorf("a wakeup has %d bytes", n)
	}
	signer, err := token.NewSigner(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ticket := signer.Sign(token.Claims{Kind: token.Ticket, Tenant: tenant, Run: run, Attempt: 1 << 30, Expires: at.Unix(), Nonce: strings.Repeat("f", 64)})
	overrides := fmt.Sprint(runner.EnvAPI, strings.Repeat("d", 253), runner.EnvRun, run, runner.EnvAttempt, 1<<30, runner.EnvTicket, ticket, topology.Worker.Container)
	if n := len(overrides) + 400; n > maxOverrides/4 {
		t.Errorf("RunTask's overrides have %d characters", n)
	}
	if n := len(run) + 11; n > 64 {
		t.Errorf("a client token has %d characters", n)
	}
}

// gatewayTimeout is what API Gateway gives an integration at most.
const gatewayTimeout = 30 * time.Second

func TestEveryTimeoutIsLongerThanTheOneInside(t *testing.T) {
	for _, r := range topology.Routes {
		if f, _ := topology.FunctionByName(r.Function); f.Timeout >= gatewayTimeout {
			t.Errorf("%s may run %s and API Gateway waits %s", f.Name, f.Timeout, gatewayTimeout)
		}
	}
	machine, err := asl.Load([]byte(strings.NewReplacer("${LaunchFunction}", "l", "${SettleFunction}", "s").Replace(workflow.Definition)))
	if err != nil {
		t.Fatal(err)
	}
	launch, _ := topology.FunctionByName("workflow/launch")
	if backstop := time.Duration(machine.States["Launch"].TimeoutSeconds) * time.Second; backstop < 10*launch.Timeout {
		t.Errorf("the backstop of %s leaves no room for launch's %s", backstop, launch.Timeout)
	}
	// Launch waits until the container before has stopped.
	if launch.Timeout < topology.Worker.StopTimeout+10*time.Second {
		t.Errorf("launch runs %s, a container stops for %s", launch.Timeout, topology.Worker.StopTimeout)
	}
	if topology.Worker.StopTimeout > 120*time.Second {
		t.Errorf("Fargate gives a container 120 s to stop, not %s", topology.Worker.StopTimeout)
	}
	for _, q := range topology.Queues {
		if f, _ := topology.FunctionByName(q.Consumer); q.VisibilityTimeout < f.Timeout {
			t.Errorf("%s: a message is visible again after %s, %s may run %s", q.Name, q.VisibilityTimeout, f.Name, f.Timeout)
		}
	}
	for _, a := range agent.All() {
		if !fargate(a.CPU, a.MemoryMB) {
			t.Errorf("%s: Fargate has no size of %d CPU and %d MB", a.Name, a.CPU, a.MemoryMB)
		}
	}
}

// fargate tells whether there is such a size: whole gigabytes from twice to
// eight times the vCPUs, up to 4 vCPUs.
func fargate(cpu, memoryMB int) bool {
	switch cpu {
	case 256:
		return memoryMB == 512 || memoryMB == 1024 || memoryMB == 2048
	case 512, 1024, 2048, 4096:
		return memoryMB%1024 == 0 && memoryMB >= 2*cpu && memoryMB <= 8*cpu
	}
	return false
}
