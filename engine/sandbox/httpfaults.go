package sandbox

import (
	"net/http"
	"strings"
)

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
