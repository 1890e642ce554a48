package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/id"
	"outpost/shared/plan"
	"outpost/shared/problem"
	"outpost/shared/task"
)

// submission is the body of the request, which the contract has checked.
type submission struct {
	Repo           string            `json:"repo"`
	Ref            string            `json:"ref"`
	Prompt         string            `json:"prompt"`
	Agents         []json.RawMessage `json:"agents"`
	Setup          string            `json:"setup"`
	Verify         string            `json:"verify"`
	TimeoutSeconds int               `json:"timeout_seconds"`
	BudgetUSD      float64           `json:"budget_usd"`
	Tags           []string          `json:"tags"`
	Priority       task.Priority     `json:"priority"`

	set map[string]bool // names of the secrets that the tenant has
}

// choice is one entry of agents, with its place in the body.
type choice struct {
	agent agent.Agent
	model string
	field string
	all   bool // it stands for one of "all"
}

// task makes the task that the submission asks for. What the contract cannot
// say is checked here: the plan, the repository's URL, models, sizes in bytes.
func (in submission) task(tenantID string, limits plan.Plan, repositories api.Repositories, now time.Time) (task.Task, error) {
	_, wrong := repositories.Check(in.Repo)
	wrong = append(wrong, in.checkSizes()...)
	choices, bad := in.choices(limits)
	if wrong = append(wrong, bad...); len(wrong) > 0 {
		return task.Task{}, api.Invalid(wrong...)
	}
	if err := allowedBy(limits, choices); err != nil {
		return task.Task{}, err
	}
	choices, err := in.withKeys(choices)
	if err != nil {
		return task.Task{}, err
	}
	if day := limits.RunsPerDay; day != plan.Unlimited && len(choices) > day {
		// No wait would help: that is no quota that resets.
		return task.Task{}, problem.New(problem.PlanLimit, fmt.Sprintf("Your tenant, on the plan %s, may start %d runs a day.", limits.Name, day),
			problem.Field{Field: "/agents", Message: fmt.Sprintf("must be at most %d runs, and are %d", day, len(choices))})
	}
	timeout := time.Duration(in.TimeoutSeconds) * time.Second
	if timeout == 0 {
		timeout = min(task.DefaultTimeout, limits.MaxTimeout)
	}
	if timeout > limits.MaxTimeout {
		return task.Task{}, problem.New(problem.PlanLimit, fmt.Sprintf("Your tenant, on the plan %s, may set up to %d seconds.", limits.Name, int(limits.MaxTimeout.Seconds())),
			problem.Field{Field: "/timeout_seconds", Message: fmt.Sprintf("must be at most %d", int(limits.MaxTimeout.Seconds()))})
	}
	if in.Priority == "" {
		in.Priority = task.Normal
	}
	tk := task.Task{ID: id.New(id.Task, now), Tenant: tenantID, State: task.Queued, CreatedAt: now,
		Spec: task.Spec{Repo: in.Repo, Ref: in.Ref, Setup: in.Setup, Verify: in.Verify, Timeout: timeout, BudgetUSD: in.BudgetUSD,
			Tags: in.Tags, Priority: in.Priority},
		Tally: task.Tally{Total: len(choices), Remaining: len(choices)}}
	for i, c := range choices {
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, i+1), Task: tk.ID, Tenant: tenantID, Number: i + 1, Agent: c.agent.Name, Model: c.model,
			Priority: in.Priority, Timeout: timeout, State: task.Queued, CreatedAt: now})
	}
	return tk, nil
}

// choices expands "all" and looks up agents and models.
func (in submission) choices(limits plan.Plan) (out []choice, wrong []problem.Field) {
	for i, raw := range in.Agents {
		field := fmt.Sprintf("/agents/%d", i)
		var named struct {
			Agent string `json:"agent"`
			Model string `json:"model"`
		}
		if json.Unmarshal(raw, &named.Agent) != nil {
			if err := json.Unmarshal(raw, &named); err != nil {
				return nil, []problem.Field{{Field: field, Message: "must be an agent"}}
			}
		}
		if named.Agent == "all" {
			if len(in.Agents) > 1 {
				wrong = append(wrong, problem.Field{Field: field, Message: "must stand alone"})
			}
			for _, a := range agent.All() {
				if limits.Allows(a.Name) {
					out = append(out, choice{a, a.DefaultModel, field, true})
				}
			}
			continue
		}
		a, ok := agent.Lookup(named.Agent)
		if !ok {
			wrong = append(wrong, problem.Field{Field: field, Message: "is not an agent"})
			continue
		}
		if named.Model == "" {
			named.Model = a.DefaultModel
		} else if _, err := a.Provider(named.Model); err != nil {
			wrong = append(wrong, problem.Field{Field: field + "/model", Message: "must be a model of " + a.Name})
		}
		out = append(out, choice{a, named.Model, field, false})
	}
	return out, wrong
}

// allowedBy refuses agents that the tenant's limits do not include.
func allowedBy(limits plan.Plan, choices []choice) error {
	var wrong []problem.Field
	for _, c := range choices {
		if !limits.Allows(c.agent.Name) {
			wrong = append(wrong, problem.Field{Field: c.field, Message: fmt.Sprintf("%s is not among your tenant's agents", c.agent.Name)})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return problem.New(problem.PlanLimit, fmt.Sprintf("Your tenant, on the plan %s, may use %s.", limits.Name, strings.Join(limits.Agents, ", ")), wrong...)
}

// withKeys refuses choices whose provider's key the tenant has not set: their
// runs could only fail. "all" means every agent with a key, and at least one.
func (in submission) withKeys(choices []choice) (able []choice, err error) {
	var missing []problem.Field
	named := false
	for _, c := range choices {
		p, err := c.agent.Provider(c.model)
		if err != nil {
			return nil, err
		}
		if in.set[p.Secret] {
			able = append(able, c)
			continue
		}
		named = named || !c.all
		missing = append(missing, problem.Field{Field: c.field, Message: fmt.Sprintf("%s needs the secret %s, which is not set", c.agent.Name, p.Secret)})
	}
	if named || len(able) == 0 {
		return nil, problem.New(problem.MissingSecret, "Set your provider's key first: PUT /v1/secrets/{name}.", missing...)
	}
	return able, nil
}

// checkSizes holds the limits that are in bytes; the contract counts characters.
func (in submission) checkSizes() (wrong []problem.Field) {
	for _, f := range []struct {
		field, text string
		most        int
	}{{"/prompt", in.Prompt, task.MaxPrompt}, {"/setup", in.Setup, task.MaxCommand}, {"/verify", in.Verify, task.MaxCommand}} {
		if len(f.text) > f.most {
			wrong = append(wrong, problem.Field{Field: f.field, Message: fmt.Sprintf("must have at most %d bytes, and has %d", f.most, len(f.text))})
		}
	}
	return wrong
}
