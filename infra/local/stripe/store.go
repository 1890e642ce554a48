package stripe

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"outpost/infra/local/durable"
)

// store holds every object, in the order in which they were made.
type store struct {
	seed  uint64
	count uint64 // of ids given out
	byID  map[string]resource
	kinds map[string][]resource
	shown map[string]map[string]any // as each object was last told of in an event
}

func newStore(seed uint64) store {
	return store{seed: seed, byID: map[string]resource{}, kinds: map[string][]resource{}, shown: map[string]map[string]any{}}
}

// newID makes an id that follows from the seed and how many came before.
func (st *store) newID(prefix string) string {
	st.count++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", st.seed, st.count))
	return prefix + "_" + (new(big.Int).SetBytes(sum[:]).Text(62) + "000000000000000000000000")[:24]
}

// add keeps a new object and returns it.
func add[T resource](st *store, prefix, kind string, created int64, res T) T {
	*res.head() = Head{ID: st.newID(prefix), Object: kind, Created: created}
	st.byID[res.head().ID] = res
	st.kinds[kind] = append(st.kinds[kind], res)
	return res
}

func (st *store) remove(res resource) {
	h := res.head()
	delete(st.byID, h.ID)
	st.kinds[h.Object] = slices.DeleteFunc(st.kinds[h.Object], func(r resource) bool { return r.head().ID == h.ID })
}

// get finds an object of a kind; an error is Stripe's for one that is missing.
func get[T resource](st *store, id, param string) (T, error) {
	res, ok := st.byID[id].(T)
	if !ok {
		var none T
		return none, &Error{Status: 404, Type: "invalid_request_error", Code: "resource_missing", Param: param,
			Message: fmt.Sprintf("No such %s: '%s'", kindOf(none), id)}
	}
	return res, nil
}

// known is get for an id that this package wrote.
func known[T resource](st *store, id string) T {
	res, _ := st.byID[id].(T)
	return res
}

func kindOf(res resource) string {
	for kind, make := range factories {
		if fmt.Sprintf("%T", make()) == fmt.Sprintf("%T", res) {
			return kind
		}
	}
	return "object"
}

// all returns the objects of a kind, oldest first.
func all[T resource](st *store, kind string) []T {
	out := make([]T, len(st.kinds[kind]))
	for i, r := range st.kinds[kind] {
		out[i] = r.(T)
	}
	return out
}

// snapshot is everything, as the file keeps it.
type snapshot struct {
	Seed, Count uint64
	Ahead       int64 // seconds that the stand-in's clock is ahead
	Objects     []json.RawMessage
	Answers     map[string]*answered
	Deliveries  []*Delivery
}

// save writes the snapshot, where there is a file.
func (s *Server) save() {
	if s.o.File == "" {
		return
	}
	doc := snapshot{Seed: s.seed, Count: s.count, Ahead: s.ahead, Answers: s.answers, Deliveries: s.deliveries}
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		for _, res := range s.kinds[kind] {
			body, err := json.Marshal(res)
			if err != nil {
				s.o.Log("stripe: %v", err)
				return
			}
			doc.Objects = append(doc.Objects, body)
		}
	}
	if err := durable.Write(s.o.File, doc); err != nil {
		s.o.Log("stripe: %v", err)
	}
}

func (s *Server) load() error {
	doc := snapshot{Seed: s.o.Seed, Answers: map[string]*answered{}}
	if s.o.File != "" {
		if err := durable.Read(s.o.File, &doc); err != nil {
			return err
		}
	}
	s.store = newStore(doc.Seed)
	s.count, s.ahead, s.answers, s.deliveries = doc.Count, doc.Ahead, doc.Answers, doc.Deliveries
	for _, body := range doc.Objects {
		var h Head
		if err := json.Unmarshal(body, &h); err != nil {
			return fmt.Errorf("stripe: %w", err)
		}
		create := factories[h.Object]
		if create == nil {
			return fmt.Errorf("stripe: %s holds a %q", s.o.File, h.Object)
		}
		res := create()
		if err := json.Unmarshal(body, res); err != nil {
			return fmt.Errorf("stripe: %w", err)
		}
		s.byID[h.ID] = res
		s.kinds[h.Object] = append(s.kinds[h.Object], res)
		s.shown[h.ID] = s.show(res)
	}
	return nil
}
