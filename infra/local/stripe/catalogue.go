package stripe

import (
	"slices"
	"strconv"
)

func (s *Server) createProduct(r *request) (any, error) {
	now := s.now(nil)
	p := &Product{Name: r.need("name"), Active: r.flag("active", true), Description: r.optional("description"), Metadata: r.merge("metadata", nil), Updated: now}
	wanted := r.text("id")
	if err := r.check(); err != nil {
		return nil, err
	}
	if s.byID[wanted] != nil {
		return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "resource_already_exists", Param: "id", Message: "Product already exists."}
	}
	add(&s.store, "prod", "product", now, p)
	if wanted != "" {
		delete(s.byID, p.ID)
		p.ID = wanted
		s.byID[wanted] = p
	}
	s.emit("product.created", p)
	return p, nil
}

func (s *Server) updateProduct(r *request) (any, error) {
	p, err := get[*Product](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	next := *p
	next.Active, next.Metadata, next.Updated = r.flag("active", p.Active), r.merge("metadata", p.Metadata), s.now(nil)
	if r.has("name") {
		next.Name = r.need("name")
	}
	if r.has("description") {
		next.Description = r.optional("description")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	*p = next
	s.emit("product.updated", p)
	return p, nil
}

func (s *Server) listProducts(r *request) (any, error) {
	ids, active := r.texts("ids"), r.text("active")
	return s.page(r, "product", func(res resource) bool {
		p := res.(*Product)
		return (len(ids) == 0 || slices.Contains(ids, p.ID)) && (active == "" || active == strconv.FormatBool(p.Active))
	})
}

func (s *Server) createPrice(r *request) (any, error) {
	p := &Price{Active: r.flag("active", true), Currency: r.need("currency"), Metadata: r.merge("metadata", nil), Nickname: r.optional("nickname"),
		Product: r.need("product"), UnitAmount: r.whole("unit_amount", 0), Type: "one_time"}
	p.UnitAmountDecimal = strconv.FormatInt(p.UnitAmount, 10)
	if r.has("recurring") {
		f := r.at("recurring")
		p.Type = "recurring"
		p.Recurring = &Recurring{Interval: f.oneOf("interval", "month", "day", "week", "year"), IntervalCount: f.whole("interval_count", 1), UsageType: f.oneOf("usage_type", "licensed")}
	}
	key, transfer := r.optional("lookup_key"), r.flag("transfer_lookup_key", false)
	if err := r.check(); err != nil {
		return nil, err
	}
	if _, err := get[*Product](&s.store, p.Product, "product"); err != nil {
		return nil, err
	}
	if err := s.claimLookupKey(p, key, transfer); err != nil {
		return nil, err
	}
	add(&s.store, "price", "price", s.now(nil), p)
	s.emit("price.created", p)
	return p, nil
}

func (s *Server) updatePrice(r *request) (any, error) {
	p, err := get[*Price](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	next := *p
	next.Active, next.Metadata = r.flag("active", p.Active), r.merge("metadata", p.Metadata)
	if r.has("nickname") {
		next.Nickname = r.optional("nickname")
	}
	key, transfer := r.optional("lookup_key"), r.flag("transfer_lookup_key", false)
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.has("lookup_key") {
		if err := s.claimLookupKey(&next, key, transfer); err != nil {
			return nil, err
		}
	}
	*p = next
	s.emit("price.updated", p)
	return p, nil
}

// claimLookupKey gives a price a lookup key, that one price alone has.
func (s *Server) claimLookupKey(p *Price, key *string, transfer bool) error {
	if key != nil {
		for _, other := range all[*Price](&s.store, "price") {
			if other.ID == p.ID || other.LookupKey == nil || *other.LookupKey != *key {
				continue
			}
			if !transfer {
				return invalid("lookup_key", "A price (`%s`) already uses that lookup key.", other.ID)
			}
			other.LookupKey = nil
			s.emit("price.updated", other)
		}
	}
	p.LookupKey = key
	return nil
}

func (s *Server) listPrices(r *request) (any, error) {
	keys, product, active, kind := r.texts("lookup_keys"), r.text("product"), r.flag("active", true), r.text("type")
	return s.page(r, "price", func(res resource) bool {
		p := res.(*Price)
		return (len(keys) == 0 || p.LookupKey != nil && slices.Contains(keys, *p.LookupKey)) && (product == "" || product == p.Product) &&
			active == p.Active && (kind == "" || kind == p.Type)
	})
}
