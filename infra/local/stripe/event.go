package stripe

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// emit records that something happened, and queues it for the endpoints that
// want to know. An update that changed nothing did not happen.
func (s *Server) emit(kind string, res resource) {
	now, before := s.show(res), s.shown[res.head().ID]
	updated := strings.HasSuffix(kind, ".updated")
	changed := difference(before, now)
	if updated && before != nil && len(changed) == 0 {
		return
	}
	e := &Event{APIVersion: APIVersion, Type: kind}
	if r := s.request; r != nil {
		e.Request.ID = &r.number
		if r.key != "" {
			e.Request.IdempotencyKey = &r.key
		}
	}
	body, err := json.Marshal(now)
	if err != nil {
		panic("stripe: " + err.Error()) // it comes from JSON
	}
	e.Data.Object = body
	if updated {
		e.Data.Previous = changed
	}
	s.shown[res.head().ID] = now
	add(&s.store, "evt", "event", s.o.Clock.Now().Unix(), e)
	for _, endpoint := range all[*WebhookEndpoint](&s.store, "webhook_endpoint") {
		if endpoint.Status == "enabled" && wants(endpoint.EnabledEvents, kind) {
			e.PendingWebhooks++
			s.queue(e, endpoint)
		}
	}
}

// wants tells whether names of events, with * for any part, include one.
func wants(names []string, kind string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		ok, err := path.Match(name, kind)
		return name == "*" || err == nil && ok
	})
}

func (s *Server) listEvents(r *request) (any, error) {
	kinds, created, delivered := r.texts("types"), r.times("created"), r.text("delivery_success")
	if r.has("type") {
		kinds = append(kinds, r.text("type"))
	}
	return s.page(r, "event", func(res resource) bool {
		e := res.(*Event)
		return (len(kinds) == 0 || wants(kinds, e.Type)) && created(e.Created) &&
			(delivered == "" || (delivered == "true") == (e.PendingWebhooks == 0))
	})
}

func (s *Server) createEndpoint(r *request) (any, error) {
	w := &WebhookEndpoint{APIVersion: r.optional("api_version"), Description: r.optional("description"), EnabledEvents: r.texts("enabled_events"),
		Metadata: r.merge("metadata", nil), Status: "enabled", URL: r.need("url")}
	r.ignore("connect")
	if len(w.EnabledEvents) == 0 {
		r.fail(&Error{Code: "parameter_missing", Param: "enabled_events", Message: "Missing required param: enabled_events."})
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(w.URL, "http://") && !strings.HasPrefix(w.URL, "https://") {
		return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "url_invalid", Param: "url", Message: "Invalid URL: an explicit scheme (such as https) must be provided."}
	}
	add(&s.store, "we", "webhook_endpoint", s.o.Clock.Now().Unix(), w)
	w.Secret = s.newID("whsec")
	out := s.show(w)
	out["secret"] = w.Secret // now and never again
	return out, nil
}

// register makes sure that the options' endpoint is there, for every event. It
// keeps its secret when the address has changed.
func (s *Server) register(url, secret string) {
	for _, w := range all[*WebhookEndpoint](&s.store, "webhook_endpoint") {
		if w.Registered {
			w.URL, w.Secret = url, cmp.Or(secret, w.Secret)
			return
		}
	}
	version := APIVersion
	add(&s.store, "we", "webhook_endpoint", s.o.Clock.Now().Unix(), &WebhookEndpoint{APIVersion: &version, EnabledEvents: []string{"*"},
		Metadata: map[string]string{}, Registered: true, Secret: cmp.Or(secret, s.newID("whsec")), Status: "enabled", URL: url})
}

// Secret is the secret of the endpoint of the options; empty without one.
func (s *Server) Secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range all[*WebhookEndpoint](&s.store, "webhook_endpoint") {
		if w.Registered {
			return w.Secret
		}
	}
	return ""
}

func (s *Server) updateEndpoint(r *request) (any, error) {
	w, err := get[*WebhookEndpoint](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	next := *w
	next.Metadata = r.merge("metadata", w.Metadata)
	if r.has("enabled_events") {
		next.EnabledEvents = r.texts("enabled_events")
	}
	if r.has("url") {
		next.URL = r.need("url")
	}
	if r.has("description") {
		next.Description = r.optional("description")
	}
	if r.flag("disabled", w.Status == "disabled") {
		next.Status = "disabled"
	} else {
		next.Status = "enabled"
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	*w = next
	return w, nil
}

func (s *Server) deleteEndpoint(r *request) (any, error) {
	w, err := get[*WebhookEndpoint](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	s.remove(w)
	return map[string]any{"id": w.ID, "object": "webhook_endpoint", "deleted": true}, nil
}

func (s *Server) listEndpoints(r *request) (any, error) {
	return s.page(r, "webhook_endpoint", func(resource) bool { return true })
}
