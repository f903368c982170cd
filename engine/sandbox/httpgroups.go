package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (s *Server) listGroups(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []*group{}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		list = append(list, s.groups[id])
	}
	return list, nil
}

func (s *Server) postGroup(r *http.Request) (any, error) {
	var wish struct {
		Name         given    `json:"name"`
		Owner        string   `json:"owner"`
		Participants []string `json:"participants"`
	}
	if err := readJSON(r, &wish); err != nil {
		return nil, err
	}
	if wish.Name == "" || len(wish.Name) > maxHostileText {
		return nil, badRequest("\"name\" must have 1 to %d bytes", maxHostileText)
	}
	wish.Owner = strings.TrimPrefix(wish.Owner, "+")
	if err := checkNumbers(append([]string{wish.Owner}, wish.Participants...)); err != nil {
		return nil, err
	}
	g, err := s.createGroup(string(wish.Name), wish.Owner, wish.Participants)
	if err != nil {
		return nil, err
	}
	return map[string]string{"id": g.ID}, nil
}

func checkNumbers(numbers []string) error {
	if len(numbers) > 1024 {
		return badRequest("a group has at most 1024 members")
	}
	for _, number := range numbers {
		if !validNumber(number) {
			return badRequest("%q is no number of 7 to 15 digits", number)
		}
	}
	return nil
}

func (s *Server) patchGroup(r *http.Request) (any, error) {
	var change groupChange
	if err := readJSON(r, &change); err != nil {
		return nil, err
	}
	if err := checkNumbers(slices.Concat(change.Add, change.Remove, change.Promote, change.Demote)); err != nil {
		return nil, err
	}
	g := s.group(r.PathValue("id"))
	if g == nil {
		return nil, notFound("there is no group %s", r.PathValue("id"))
	}
	return s.changeGroup(g.ID, change)
}
