package stripe

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// constants are the fields that never vary here, by "object": the answers have
// every field that Stripe's schema requires and that its SDK may look at.
//
//go:embed constants.json
var constantsJSON []byte

var constants = func() (out map[string]map[string]any) {
	if err := json.Unmarshal(constantsJSON, &out); err != nil {
		panic("stripe: constants.json: " + err.Error())
	}
	return out
}()

// always are the fields that hold an id and are shown whole.
var always = map[string][]string{
	"subscription":     {"items.data.price", "pending_update.subscription_items.price"},
	"invoice":          {"lines.data.price"},
	"checkout.session": {"_line_items.data.price"},
}

// show is an object as Stripe's API answers it, with what the caller wants
// expanded.
func (s *Server) show(res resource, expand ...string) map[string]any {
	if c, ok := res.(*Customer); ok && c.Deleted {
		return map[string]any{"id": c.ID, "object": "customer", "deleted": true}
	}
	body, err := json.Marshal(res)
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("stripe: %T: %v", res, err)) // only for a type that cannot be JSON
	}
	for _, path := range slices.Concat(always[res.head().Object], expand) {
		s.expand(out, strings.Split(path, "."))
	}
	finish(out)
	if out["id"] == "" {
		delete(out, "id") // of an invoice that is only upcoming
	}
	return out
}

// expand puts an object in the place of its id.
func (s *Server) expand(at any, path []string) {
	if members, ok := at.([]any); ok {
		for i, m := range members {
			if id, ok := m.(string); ok && len(path) == 0 {
				members[i] = s.expanded(id)
			} else {
				s.expand(m, path)
			}
		}
		return
	}
	object, ok := at.(map[string]any)
	if !ok || len(path) == 0 {
		return
	}
	key := path[0]
	if hidden, ok := object["_"+key]; ok && object[key] == nil {
		object[key] = hidden // shown only when it is asked for
	}
	if c, ok := s.byID[fmt.Sprint(object["id"])].(*Customer); ok && key == "subscriptions" {
		object[key] = s.subscriptionsOf(c.ID)
	}
	if id, ok := object[key].(string); ok && s.byID[id] != nil {
		object[key] = s.expanded(id)
	}
	s.expand(object[key], path[1:])
}

func (s *Server) expanded(id string) any {
	if res := s.byID[id]; res != nil {
		return s.show(res)
	}
	return id
}

// subscriptionsOf is a customer's list of living subscriptions.
func (s *Server) subscriptionsOf(customer string) map[string]any {
	data := []any{}
	for _, sub := range all[*Subscription](&s.store, "subscription") {
		if sub.Customer == customer && !sub.over() {
			data = append(data, s.show(sub))
		}
	}
	slices.Reverse(data)
	return map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/customers/" + customer + "/subscriptions"}
}

// finish adds the constants and takes away what is the stand-in's own.
func finish(at any) {
	switch v := at.(type) {
	case []any:
		for _, m := range v {
			finish(m)
		}
	case map[string]any:
		for _, kind := range []string{"object", "_object"} {
			name, _ := v[kind].(string)
			for key, constant := range constants[name] {
				if _, there := v[key]; !there {
					v[key] = constant
				}
			}
		}
		for key, part := range v {
			if strings.HasPrefix(key, "_") {
				delete(v, key)
			} else {
				finish(part)
			}
		}
	}
}

// difference tells what fields of an object were before.
func difference(before, after map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		was, _ := json.Marshal(before[key])
		is, _ := json.Marshal(after[key])
		if string(was) != string(is) {
			out[key] = before[key]
		}
	}
	return out
}

// page is one page of a list, newest first.
func (s *Server) page(r *request, kind string, keep func(resource) bool) (any, error) {
	limit, after, before := r.whole("limit", 10), r.text("starting_after"), r.text("ending_before")
	if limit < 1 || limit > 100 {
		r.fail(&Error{Param: "limit", Message: "Invalid limit: must be between 1 and 100."})
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var matching []resource
	for _, res := range slices.Backward(s.kinds[kind]) {
		if keep(res) {
			matching = append(matching, res)
		}
	}
	at := func(id string) int {
		return slices.IndexFunc(matching, func(res resource) bool { return res.head().ID == id })
	}
	for _, cursor := range []string{after, before} {
		if cursor != "" && at(cursor) < 0 {
			return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "resource_missing", Message: fmt.Sprintf("No such %s: '%s'", kind, cursor)}
		}
	}
	more := false
	switch {
	case before != "":
		end := at(before)
		start := max(0, end-int(limit))
		matching, more = matching[start:end], start > 0
	default:
		if after != "" {
			matching = matching[at(after)+1:]
		}
		more = len(matching) > int(limit)
		matching = matching[:min(len(matching), int(limit))]
	}
	data := []any{}
	for _, res := range matching {
		var expand []string
		for _, path := range r.expand {
			if rest, ok := strings.CutPrefix(path, "data."); ok {
				expand = append(expand, rest)
			}
		}
		data = append(data, s.show(res, expand...))
	}
	return map[string]any{"object": "list", "url": r.path, "has_more": more, "data": data}, nil
}
