package sandbox

import (
	"net/http"
	"strings"
)

func (s *Server) postPairCode(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		Code string `json:"code"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	who, err := s.typeCode(r.Context(), p, wish.Code)
	return linkView(who), err
}

func (s *Server) postContact(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		Number string `json:"number"`
		Name   string `json:"name"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	if !validNumber(wish.Number) || wish.Name == "" || len(wish.Name) > 100 {
		return nil, badRequest("a contact has a \"number\" of 7 to 15 digits and a \"name\" of 1 to 100 bytes")
	}
	p.saveContact(wish.Number, wish.Name)
	return wish, nil
}

func (s *Server) postTyping(r *http.Request) (any, error) {
	p, other, err := s.requestPair(r)
	if err != nil {
		return nil, err
	}
	s.chatState(p.number, other.To, other.Typing)
	return other, nil
}

func (s *Server) postDisappearing(r *http.Request) (any, error) {
	p, other, err := s.requestPair(r)
	if err != nil {
		return nil, err
	}
	return other, p.setTimer(r.Context(), other.To, other.Seconds)
}

// pairWish is a request about a phone's chat with another number.
type pairWish struct {
	To      string `json:"to"`
	Typing  bool   `json:"typing"`
	Seconds uint32 `json:"seconds"`
}

func (s *Server) requestPair(r *http.Request) (*phone, pairWish, error) {
	var wish pairWish
	p, err := s.requestPhone(r)
	if err == nil {
		err = readJSON(r, &wish)
	}
	wish.To = strings.TrimPrefix(wish.To, "+")
	if err == nil && (!validNumber(wish.To) || wish.To == p.number) {
		err = badRequest("\"to\" is another number of 7 to 15 digits")
	}
	return p, wish, err
}

func (s *Server) listFaults(*http.Request) (any, error) { return s.faults.list(), nil }

func (s *Server) postFault(r *http.Request) (any, error) {
	var wish fault
	if err := readJSON(r, &wish); err != nil {
		return nil, err
	}
	wish.Phone = strings.TrimPrefix(wish.Phone, "+")
	if err := s.inject(wish); err != nil {
		return nil, err
	}
	s.events.publish("fault", wish)
	return s.faults.list(), nil
}

func (s *Server) deleteFaults(*http.Request) (any, error) {
	s.faults.clear()
	s.events.publish("fault", nil)
	return s.faults.list(), nil
}
