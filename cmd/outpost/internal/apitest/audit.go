package apitest

import (
	"maps"
	"net/http"
	"strconv"
)

// audit filters by the action alone: what a filter finds is the service's
// business.
func (a *API) audit(r *http.Request, _ map[string]any) (int, any) {
	var all []map[string]any
	for _, e := range a.Audit {
		if want := r.URL.Query().Get("action"); want == "" || e["action"] == want {
			all = append(all, e)
		}
	}
	return 200, part(r, all)
}

func (a *API) auditExports(r *http.Request, _ map[string]any) (int, any) {
	answer := part(r, a.Exports)
	answer["head"] = nil
	if n := len(a.Exports); n > 0 {
		head := maps.Clone(a.Exports[n-1])
		maps.DeleteFunc(head, func(name string, _ any) bool { return name != "sequence" && name != "day" && name != "manifest_sha256" })
		answer["head"] = head
	}
	if a.Head != nil {
		answer["head"] = a.Head
	}
	return 200, answer
}

// part is the page that a request asks for; a cursor is the place where the next
// one begins.
func part(r *http.Request, all []map[string]any) map[string]any {
	limit, from := 20, 0
	if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
		limit = n
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("cursor")); err == nil {
		from = n
	}
	to := min(from+limit, len(all))
	data := []any{}
	for _, e := range all[from:to] {
		data = append(data, e)
	}
	answer := map[string]any{"data": data, "has_more": to < len(all), "next_cursor": nil}
	if to < len(all) {
		answer["next_cursor"] = strconv.Itoa(to)
	}
	return answer
}
