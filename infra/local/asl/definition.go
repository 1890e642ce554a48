// Package asl loads and steps through exactly the part of the Amazon States
// Language (https://states-language.net) that Outpost's state machine uses:
// Task over Lambda with and without a task token, Choice, Wait, Succeed and
// Fail; Retry and Catch; JSONPath payload templates. A definition with any
// other state, field or resource does not load, so that nothing is ignored
// silently.
package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// The resources of a Task.
const (
	Invoke             = "arn:aws:states:::lambda:invoke"
	InvokeAndWaitToken = "arn:aws:states:::lambda:invoke.waitForTaskToken"
)

// Machine is a loaded definition.
type Machine struct {
	Comment string            `json:"Comment,omitempty"`
	StartAt string            `json:"StartAt"`
	States  map[string]*State `json:"States"`
}

// State is one state; which fields may be set depends on its type.
type State struct {
	Type    string
	Comment string `json:",omitempty"`
	Next    string `json:",omitempty"`

	Resource       string         `json:",omitempty"`
	Parameters     map[string]any `json:",omitempty"` // FunctionName, and Payload or Payload.$
	ResultSelector map[string]any `json:",omitempty"`
	ResultPath     string         `json:",omitempty"`
	TimeoutSeconds int            `json:",omitempty"` // of a try that waits for its token, the invocation included
	Retry          []Retrier      `json:",omitempty"`
	Catch          []Catcher      `json:",omitempty"`

	Choices []Branch `json:",omitempty"`
	Default string   `json:",omitempty"`

	SecondsPath string `json:",omitempty"`

	Error string `json:",omitempty"`
	Cause string `json:",omitempty"`
}

// Retrier tries a failed Task again.
type Retrier struct {
	ErrorEquals     []string
	IntervalSeconds float64 `json:",omitempty"` // 1 when unset
	MaxAttempts     *int    `json:",omitempty"` // 3 when unset
	BackoffRate     float64 `json:",omitempty"` // 2 when unset
	MaxDelaySeconds float64 `json:",omitempty"`
	JitterStrategy  string  `json:",omitempty"` // FULL or NONE
}

// Catcher goes on elsewhere when a Task has failed for good.
type Catcher struct {
	ErrorEquals []string
	ResultPath  string `json:",omitempty"`
	Next        string
}

// Branch is a way out of a Choice.
type Branch struct {
	Variable     string
	StringEquals string
	Next         string
}

// fields lists what a state of a type may set, beside Type and Comment.
var fields = map[string][]string{
	"Task":    {"Next", "Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds", "Retry", "Catch"},
	"Choice":  {"Choices", "Default"},
	"Wait":    {"Next", "SecondsPath"},
	"Succeed": {},
	"Fail":    {"Error", "Cause"},
}

// Load reads a definition. An error names the state and what is wrong with it.
func Load(definition []byte) (*Machine, error) {
	var m Machine
	dec := json.NewDecoder(bytes.NewReader(definition))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("asl: %w", err)
	}
	var raw struct {
		States map[string]map[string]any
	}
	if err := json.Unmarshal(definition, &raw); err != nil {
		return nil, fmt.Errorf("asl: %w", err)
	}
	for name, s := range m.States {
		allowed, ok := fields[s.Type]
		if !ok {
			return nil, fmt.Errorf("asl: state %s: type %q is not one that runs here", name, s.Type)
		}
		for field := range raw.States[name] {
			if field != "Type" && field != "Comment" && !slices.Contains(allowed, field) {
				return nil, fmt.Errorf("asl: state %s: a %s has no field %s", name, s.Type, field)
			}
		}
		if !reflect.DeepEqual(raw.States[name], s.asRead()) {
			return nil, fmt.Errorf("asl: state %s: a field is missing, null, zero or in another case", name)
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("asl: state %s: %w", name, err)
		}
		for _, next := range s.targets() {
			if m.States[next] == nil {
				return nil, fmt.Errorf("asl: state %s goes on to %q, which does not exist", name, next)
			}
		}
	}
	return &m, m.reachable()
}

// asRead is the state as it was understood. What JSON lets pass, as null or a
// field in another case, makes it differ from the definition.
func (s *State) asRead() map[string]any {
	var out map[string]any
	if body, err := json.Marshal(s); err == nil {
		_ = json.Unmarshal(body, &out) // out stays nil, which differs
	}
	return out
}

func (s *State) check() error {
	switch s.Type {
	case "Task":
		return s.checkTask()
	case "Choice":
		if len(s.Choices) == 0 || s.Default == "" {
			return errors.New("a Choice needs branches and a Default")
		}
		for _, b := range s.Choices {
			if _, err := parsePath(b.Variable); err != nil {
				return err
			}
		}
	case "Wait":
		if s.Next == "" {
			return errors.New("has no Next")
		}
		_, err := parsePath(s.SecondsPath)
		return err
	}
	return nil
}

func (s *State) checkTask() error {
	if s.Resource != Invoke && s.Resource != InvokeAndWaitToken {
		return fmt.Errorf("resource %q is not one that runs here", s.Resource)
	}
	if _, ok := s.Parameters["FunctionName"].(string); !ok {
		return errors.New("the Parameters name no function")
	}
	for name := range s.Parameters {
		if !slices.Contains([]string{"FunctionName", "Payload", "Payload.$"}, name) {
			return fmt.Errorf("the parameter %s is not one that is sent here", name)
		}
	}
	if s.TimeoutSeconds < 0 || (s.TimeoutSeconds > 0 && s.Resource == Invoke) {
		return errors.New("a TimeoutSeconds bounds the wait for a token alone; a function has its own timeout")
	}
	if s.Next == "" {
		return errors.New("has no Next")
	}
	for i, r := range s.Retry {
		if err := checkNames(r.ErrorEquals, i == len(s.Retry)-1); err != nil {
			return fmt.Errorf("a Retry: %w", err)
		}
		if r.IntervalSeconds < 0 || r.MaxDelaySeconds < 0 || (r.MaxAttempts != nil && *r.MaxAttempts < 0) ||
			(r.BackoffRate != 0 && r.BackoffRate < 1) || !slices.Contains([]string{"", "NONE", "FULL"}, r.JitterStrategy) {
			return errors.New("a number or the JitterStrategy of a Retry is out of range")
		}
	}
	for i, c := range s.Catch {
		if err := checkNames(c.ErrorEquals, i == len(s.Catch)-1); err != nil {
			return fmt.Errorf("a Catch: %w", err)
		}
		if _, err := parsePath(orRoot(c.ResultPath)); err != nil {
			return err
		}
	}
	if _, err := parsePath(orRoot(s.ResultPath)); err != nil {
		return err
	}
	return errors.Join(checkPaths(s.Parameters, contextPaths), checkPaths(s.ResultSelector, nil))
}

// checkNames checks an ErrorEquals: States.ALL stands alone, and last.
func checkNames(names []string, last bool) error {
	if len(names) == 0 {
		return errors.New("no error is named")
	}
	if slices.Contains(names, "States.ALL") && (len(names) > 1 || !last) {
		return errors.New("States.ALL must be alone, and last")
	}
	return nil
}

// targets lists every state that this one may go on to.
func (s *State) targets() []string {
	var next []string
	add := func(n string) {
		if n != "" {
			next = append(next, n)
		}
	}
	add(s.Next)
	add(s.Default)
	for _, b := range s.Choices {
		add(b.Next)
	}
	for _, c := range s.Catch {
		add(c.Next)
	}
	return next
}

func (m *Machine) reachable() error {
	if m.States[m.StartAt] == nil {
		return fmt.Errorf("asl: StartAt names %q, which does not exist", m.StartAt)
	}
	seen := map[string]bool{m.StartAt: true}
	for queue := []string{m.StartAt}; len(queue) > 0; queue = queue[1:] {
		for _, n := range m.States[queue[0]].targets() {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	for name := range m.States {
		if !seen[name] {
			return fmt.Errorf("asl: nothing leads to state %s", name)
		}
	}
	return nil
}
