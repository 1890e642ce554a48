package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"outpost/shared/contract"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

type view struct {
	Title       string
	Description []template.HTML // paragraphs
	Groups      []group
	Problem     []field // of every refusal's body
	Problems    []refusal
	Reasons     []task.ReasonInfo
	Style       template.CSS
	Script      template.JS
}

// group is what the contract gives one tag.
type group struct {
	Name        string
	Description template.HTML
	Operations  []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Description               template.HTML
	Parameters                []field
	Body                      bool // it takes one
	BodyRequired              bool
	Fields                    []field // of the body
	Examples                  []example
	Answers                   []answer
	Errors                    []failure
}

// Tried is the body that stands ready to be tried.
func (o operation) Tried() string {
	if len(o.Examples) == 0 {
		return ""
	}
	return o.Examples[0].Text
}

type answer struct {
	Status      string
	Description template.HTML
	Headers     []field
	Fields      []field
	Examples    []example
}

type example struct{ Name, Text string }

// failure is an answer that refuses: by codes of the table, or by API Gateway's
// own words.
type failure struct {
	Status      string
	Description template.HTML
	Codes       []problem.Info
	Gateway     string
}

// refusal is a row of the table of codes, with how it looks.
type refusal struct {
	problem.Info
	Examples []string
}

// newView reads what the page shows out of the contract; workers' routes are
// not for tenants.
func newView() (view, error) {
	doc, err := contract.Document()
	if err != nil {
		return view{}, err
	}
	info, _ := doc["info"].(map[string]any)
	v := view{Title: text(info, "title"), Reasons: task.Reasons(), Style: template.CSS(style), Script: template.JS(script)}
	for paragraph := range strings.SplitSeq(text(info, "description"), "\n\n") {
		v.Description = append(v.Description, prose(paragraph))
	}
	if v.Problem, err = fields(map[string]any{"$ref": "#/components/schemas/Problem"}); err != nil {
		return view{}, err
	}
	tags, _ := doc["tags"].([]any)
	for _, t := range tags {
		tag, _ := t.(map[string]any)
		v.Groups = append(v.Groups, group{Name: text(tag, "name"), Description: prose(text(tag, "description"))})
	}
	seen := shown{}
	paths, _ := doc["paths"].(map[string]any)
	for _, r := range topology.Routes {
		if r.Authorizer == topology.ByRunner {
			continue
		}
		item, _ := paths[r.Path].(map[string]any)
		raw, _ := item[strings.ToLower(r.Method)].(map[string]any)
		op, err := newOperation(r, raw, seen)
		if err != nil {
			return view{}, err
		}
		tags, _ := raw["tags"].([]any)
		i := slices.IndexFunc(v.Groups, func(g group) bool { return slices.Contains(tags, any(g.Name)) })
		if i < 0 {
			return view{}, fmt.Errorf("%s has no tag of the contract's", op.ID)
		}
		v.Groups[i].Operations = append(v.Groups[i].Operations, op)
	}
	v.Groups = slices.DeleteFunc(v.Groups, func(g group) bool { return len(g.Operations) == 0 })
	for _, row := range problem.Codes() {
		v.Problems = append(v.Problems, refusal{row, seen[row.Code]})
	}
	return v, nil
}

func newOperation(r topology.Route, raw map[string]any, seen shown) (operation, error) {
	op := operation{ID: text(raw, "operationId"), Method: r.Method, Path: r.Path, Summary: text(raw, "summary"), Description: prose(text(raw, "description"))}
	parameters, _ := raw["parameters"].([]any)
	for _, p := range parameters {
		f, err := newParameter(p)
		if err != nil {
			return op, err
		}
		op.Parameters = append(op.Parameters, f)
	}
	body, err := contract.Follow(raw["requestBody"])
	if err != nil {
		return op, err
	}
	op.BodyRequired, _ = body["required"].(bool)
	if schema, examples, err := media(body, "application/json"); err != nil {
		return op, err
	} else if op.Examples = examples; schema != nil {
		if op.Fields, err = fields(schema); err != nil {
			return op, err
		}
		op.Body = op.BodyRequired || len(op.Fields) > 0
	}
	answers, _ := raw["responses"].(map[string]any)
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		answered, err := contract.Follow(answers[status])
		if err != nil {
			return op, err
		}
		if status >= "400" {
			f, err := newFailure(status, answered, seen)
			if err != nil {
				return op, err
			}
			op.Errors = append(op.Errors, f)
			continue
		}
		a, err := newAnswer(status, answered)
		if err != nil {
			return op, err
		}
		op.Answers = append(op.Answers, a)
	}
	return op, nil
}

func newParameter(node any) (field, error) {
	p, err := contract.Follow(node)
	if err != nil {
		return field{}, err
	}
	f, err := newField(text(p, "name"), p["schema"])
	if description := text(p, "description"); description != "" {
		f.Description = prose(description)
	}
	f.In = text(p, "in")
	f.Required, _ = p["required"].(bool)
	return f, err
}

func newAnswer(status string, answered map[string]any) (answer, error) {
	a := answer{Status: status, Description: prose(text(answered, "description"))}
	headers, _ := answered["headers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		header, _ := headers[name].(map[string]any)
		f, err := newField(name, header["schema"])
		if err != nil {
			return a, err
		}
		f.In, f.Description = "header", prose(text(header, "description"))
		a.Headers = append(a.Headers, f)
	}
	schema, examples, err := media(answered, "application/json")
	if err != nil || schema == nil {
		return a, err
	}
	a.Examples = examples
	a.Fields, err = fields(schema)
	return a, err
}

func newFailure(status string, answered map[string]any, seen shown) (failure, error) {
	f := failure{Status: status, Description: prose(text(answered, "description"))}
	_, examples, err := media(answered, "application/problem+json")
	if err != nil {
		return f, err
	}
	for _, e := range examples {
		row, err := seen.add(e.Text)
		if err != nil {
			return f, err
		}
		if !slices.Contains(f.Codes, row) {
			f.Codes = append(f.Codes, row)
		}
	}
	_, gateway, err := media(answered, "application/json")
	if len(gateway) > 0 {
		f.Gateway = gateway[0].Text
	}
	return f, err
}

// shown is how each code looks: its examples, each once.
type shown map[problem.Code][]string

// add takes an example of a problem, and returns its row of the table.
func (s shown) add(text string) (problem.Info, error) {
	var is struct{ Code problem.Code }
	if err := json.Unmarshal([]byte(text), &is); err != nil {
		return problem.Info{}, err
	}
	rows := problem.Codes()
	i := slices.IndexFunc(rows, func(row problem.Info) bool { return row.Code == is.Code })
	if i < 0 {
		return problem.Info{}, fmt.Errorf("an example has the code %q, which is none", is.Code)
	}
	if !slices.Contains(s[is.Code], text) {
		s[is.Code] = append(s[is.Code], text)
	}
	return rows[i], nil
}

// media returns what a body of a type is and its examples, the longest first: it
// shows the most fields.
func media(body map[string]any, mediaType string) (schema any, examples []example, err error) {
	content, _ := body["content"].(map[string]any)
	m, _ := content[mediaType].(map[string]any)
	named, _ := m["examples"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		e, err := contract.Follow(named[name])
		if err != nil {
			return nil, nil, err
		}
		out, err := json.MarshalIndent(e["value"], "", "  ")
		if err != nil {
			return nil, nil, err
		}
		examples = append(examples, example{name, string(out)})
	}
	slices.SortStableFunc(examples, func(a, b example) int { return len(b.Text) - len(a.Text) })
	return m["schema"], examples, nil
}

// prose is a text of the contract with its code between backticks and what it
// stresses between asterisks.
func prose(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			b.WriteString("<code>" + part + "</code>")
			continue
		}
		for j, words := range strings.Split(part, "**") {
			if j%2 == 1 {
				words = "<strong>" + words + "</strong>"
			}
			b.WriteString(words)
		}
	}
	return template.HTML(b.String())
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return strings.TrimSpace(s)
}
