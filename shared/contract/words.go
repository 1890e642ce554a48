package contract

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"outpost/shared/problem"
)

// maxFields bounds how many faults one answer names.
const maxFields = 20

// formats are the words for formats of text.
var formats = map[string]string{"date-time": "must be a time, as 2026-11-23T10:00:00Z", "date": "must be a day, as 2026-11-23"}

// speaker says in words what a validator found. A schema's x-words replace the
// words for its pattern, and for a value that it excludes.
type speaker struct{ doc map[string]any }

// fields lists the faults of a validation, each once, in the document's order.
func (s *speaker) fields(err error) []problem.Field {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var out []problem.Field
	s.collect(invalid, &out)
	slices.SortStableFunc(out, func(a, b problem.Field) int { return strings.Compare(a.Field, b.Field) })
	out = slices.Compact(out)
	return out[:min(len(out), maxFields)]
}

func (s *speaker) collect(e *jsonschema.ValidationError, out *[]problem.Field) {
	here := pointer(e.InstanceLocation)
	say := func(field, format string, args ...any) {
		*out = append(*out, problem.Field{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			say(here+"/"+escape(name), "is required")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			say(here+"/"+escape(name), "is not a field that exists")
		}
	case *kind.Type:
		say(here, "must be %s, not %s", strings.Join(articles(k.Want), " or "), article(k.Got))
	case *kind.Enum:
		say(here, "must be one of %s", list(k.Want))
	case *kind.MinLength:
		if k.Want == 1 {
			say(here, "must not be empty")
		} else {
			say(here, "must have at least %d characters", k.Want)
		}
	case *kind.MaxLength:
		say(here, "must have at most %d characters, and has %d", k.Want, k.Got)
	case *kind.Pattern:
		say(here, "%s", s.words(e.SchemaURL, "must match "+k.Want))
	case *kind.Not:
		say(here, "%s", s.words(e.SchemaURL, "is not what the contract allows"))
	case *kind.Minimum:
		say(here, "must be at least %s", number(k.Want))
	case *kind.Maximum:
		say(here, "must be at most %s", number(k.Want))
	case *kind.MinItems:
		say(here, "must have at least %d, and has %d", k.Want, k.Got)
	case *kind.MaxItems:
		say(here, "must have at most %d, and has %d", k.Want, k.Got)
	case *kind.MinProperties:
		if k.Want == 1 {
			say(here, "must name at least one field")
		} else {
			say(here, "must name at least %d fields, and names %d", k.Want, k.Got)
		}
	case *kind.UniqueItems:
		say(here, "must not say the same twice")
	case *kind.Format:
		say(here, "%s", cmp.Or(formats[k.Want], "must be a "+k.Want))
	case *kind.OneOf:
		s.collectFitting(e, out)
	default:
		if len(e.Causes) == 0 {
			say(here, "is not what the contract allows")
		}
		for _, c := range e.Causes {
			s.collect(c, out)
		}
	}
}

// collectFitting reports, of several alternatives, the one whose type fits.
func (s *speaker) collectFitting(e *jsonschema.ValidationError, out *[]problem.Field) {
	for _, branch := range e.Causes {
		if !wrongType(branch, len(e.InstanceLocation)) {
			s.collect(branch, out)
			return
		}
	}
	var wants []string
	for _, branch := range e.Causes {
		wants = append(wants, typesWanted(branch)...)
	}
	*out = append(*out, problem.Field{Field: pointer(e.InstanceLocation), Message: "must be " + strings.Join(articles(wants), " or ")})
}

// wrongType tells whether an alternative failed on the type of the value
// itself.
func wrongType(e *jsonschema.ValidationError, depth int) bool {
	if _, ok := e.ErrorKind.(*kind.Type); ok && len(e.InstanceLocation) == depth {
		return true
	}
	return slices.ContainsFunc(e.Causes, func(c *jsonschema.ValidationError) bool { return wrongType(c, depth) })
}

func typesWanted(e *jsonschema.ValidationError) []string {
	if k, ok := e.ErrorKind.(*kind.Type); ok {
		return k.Want
	}
	var out []string
	for _, c := range e.Causes {
		out = append(out, typesWanted(c)...)
	}
	return out
}

// words are those of a schema's own, or else usual ones.
func (s *speaker) words(schemaURL, usual string) string {
	_, fragment, _ := strings.Cut(schemaURL, "#")
	if p, err := url.PathUnescape(fragment); err == nil {
		if schema, _, err := resolve(s.doc, p); err == nil {
			if words, ok := schema["x-words"].(string); ok {
				return words
			}
		}
	}
	return usual
}

func pointer(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + escape(p))
	}
	return b.String()
}

func articles(types []string) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = article(t)
	}
	return out
}

func article(t string) string {
	switch t {
	case "array", "integer", "object":
		return "an " + t
	case "null":
		return t
	}
	return "a " + t
}

func list(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return strings.Join(out, ", ")
}

func number(r interface{ FloatString(int) string }) string {
	return strings.TrimSuffix(strings.TrimRight(r.FloatString(2), "0"), ".")
}
