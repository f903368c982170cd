package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// httpError is an answer with a status of 4xx.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &httpError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &httpError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

// phonesHandler serves people and tests.
func (s *Server) phonesHandler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, serve func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			result, err := serve(r)
			s.answer(w, result, err)
		})
	}
	route("GET /phones", s.listPhones)
	route("PATCH /phones/{number}", s.patchPhone)
	route("POST /phones/{number}/scan", s.postScan)
	route("POST /phones/{number}/paircode", s.postPairCode)
	route("POST /phones/{number}/contacts", s.postContact)
	route("POST /phones/{number}/typing", s.postTyping)
	route("POST /phones/{number}/disappearing", s.postDisappearing)
	route("GET /phones/{number}/messages", s.listMessages)
	route("POST /phones/{number}/messages", s.postMessage)
	route("DELETE /phones/{number}/companions/{device}", s.deleteCompanion)
	route("GET /groups", s.listGroups)
	route("POST /groups", s.postGroup)
	route("PATCH /groups/{id}", s.patchGroup)
	route("GET /faults", s.listFaults)
	route("POST /faults", s.postFault)
	route("DELETE /faults", s.deleteFaults)
	route("GET /stats", s.getStats)
	route("POST /qr/decode", s.decodeQR)
	mux.HandleFunc("GET /phones/{number}/messages/{id}/media", s.serveMessageMedia)
	mux.Handle("GET /page/", pageHandler())
	mux.Handle("GET /{$}", pageHandler())
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, nil, notFound("there is nothing at %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// answer writes a result, or an error as {"error": "..."}.
func (s *Server) answer(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		var refused *httpError
		var unlinkable *linkError
		switch {
		case errors.As(err, &refused):
			status = refused.status
		case errors.As(err, &unlinkable):
			status = http.StatusConflict
		default:
			s.log.Error("request failed", "error", err)
		}
		result = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result)
}

// readJSON reads the body of a request.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return badRequest("the body cannot be read")
	}
	if err = json.Unmarshal(body, into); err != nil {
		return badRequest("the body is not the JSON that is expected: %s", err)
	}
	return nil
}

// requestPhone returns the phone that a request names.
func (s *Server) requestPhone(r *http.Request) (*phone, error) {
	number := strings.TrimPrefix(r.PathValue("number"), "+")
	if !validNumber(number) {
		return nil, badRequest("a number has 7 to 15 digits, the first of them not 0")
	}
	return s.phone(number), nil
}

// phoneView is a phone as GET /phones lists it.
type phoneView struct {
	phoneSettings
	Companions []companionView `json:"companions"`
	Messages   int             `json:"messages"`
}

type companionView struct {
	Device   uint16    `json:"device"`
	Platform string    `json:"platform"`
	Online   bool      `json:"online"`
	Queued   int       `json:"queued"`
	LinkedAt time.Time `json:"linkedAt"`
}

func (s *Server) listPhones(*http.Request) (any, error) {
	s.mu.Lock()
	numbers := map[string]*phone{}
	maps.Copy(numbers, s.phones)
	for number := range s.settings {
		numbers[number] = s.phones[number]
	}
	for number, devices := range s.linked {
		if len(devices) > 0 {
			numbers[number] = s.phones[number]
		}
	}
	s.mu.Unlock()
	views := []phoneView{}
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		views = append(views, s.viewPhone(number, numbers[number]))
	}
	return views, nil
}

func (s *Server) viewPhone(number string, p *phone) phoneView {
	s.mu.Lock()
	defer s.mu.Unlock()
	view := phoneView{phoneSettings: s.settingsLocked(number), Companions: []companionView{}}
	for _, device := range s.linked[number] {
		c := s.companions[address{number, device}]
		view.Companions = append(view.Companions, companionView{device, c.Platform, c.live != nil, len(c.queue), c.LinkedAt})
	}
	if p != nil {
		p.mu.Lock()
		view.Messages = len(p.messages)
		p.mu.Unlock()
	}
	return view
}

func (s *Server) patchPhone(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		Name       *string `json:"name"`
		Receipts   *string `json:"receipts"`
		Registered *bool   `json:"registered"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	if wish.Receipts != nil && !slices.Contains([]string{receiptsNone, receiptsDelivered, receiptsRead}, *wish.Receipts) {
		return nil, badRequest("\"receipts\" is none, delivered or read")
	}
	if wish.Name != nil {
		if *wish.Name == "" || len(*wish.Name) > 100 {
			return nil, badRequest("\"name\" has 1 to 100 bytes")
		}
		if err = p.rename(*wish.Name); err != nil {
			return nil, err
		}
	}
	err = p.change(func(settings *phoneSettings) {
		if wish.Receipts != nil {
			settings.Receipts = *wish.Receipts
		}
		if wish.Registered != nil {
			settings.Registered = *wish.Registered
		}
	})
	return s.viewPhone(p.number, p), err
}

func (s *Server) postScan(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		QR string `json:"qr"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	who, err := s.scan(r.Context(), p, wish.QR)
	return linkView(who), err
}

func linkView(who address) any {
	return map[string]any{"number": who.number, "device": who.device}
}

func (s *Server) listMessages(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	return p.history(), nil
}

func (s *Server) postMessage(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		To   string `json:"to"`
		Text string `json:"text"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	if wish.Text == "" || len(wish.Text) > 65_536 {
		return nil, badRequest("\"text\" must have 1 to 65536 bytes")
	}
	id, err := p.write(r.Context(), strings.TrimPrefix(wish.To, "+"), wish.Text)
	return map[string]string{"id": id}, err
}

func (s *Server) deleteCompanion(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	for _, device := range s.devicesOf(p.number)[1:] {
		if fmt.Sprint(device.device) == r.PathValue("device") && s.unlink(device, true) {
			return linkView(device), nil
		}
	}
	return nil, notFound("%s has no companion %s", p.number, r.PathValue("device"))
}

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
		Name         string   `json:"name"`
		Owner        string   `json:"owner"`
		Participants []string `json:"participants"`
	}
	if err := readJSON(r, &wish); err != nil {
		return nil, err
	}
	if wish.Name == "" || len(wish.Name) > 400 {
		return nil, badRequest("\"name\" must have 1 to 400 bytes")
	}
	wish.Owner = strings.TrimPrefix(wish.Owner, "+")
	if err := checkNumbers(append([]string{wish.Owner}, wish.Participants...)); err != nil {
		return nil, err
	}
	g, err := s.createGroup(wish.Name, wish.Owner, wish.Participants)
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

// getStats counts what there is and what has happened since the start.
func (s *Server) getStats(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected, queuedStanzas := 0, 0
	for _, c := range s.companions {
		if c.live != nil {
			connected++
		}
		queuedStanzas += len(c.queue)
	}
	return map[string]any{
		"phones": len(s.phones), "companions": len(s.companions), "connected": connected, "groups": len(s.groups),
		"queued": queuedStanzas, "stanzasReceived": s.stats.received.Load(), "messages": s.stats.messages.Load(),
		"delivered": s.stats.delivered.Load(), "receipts": s.stats.receipts.Load(),
		"undecryptable": s.stats.undecryptable.Load(), "rejected": s.stats.rejected.Load(), "dropped": s.stats.dropped.Load(),
	}, nil
}

// decodeQR reads the text of the QR code in a picture.
func (s *Server) decodeQR(r *http.Request) (any, error) {
	picture, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
	if err != nil {
		return nil, badRequest("the body cannot be read")
	}
	text, err := readQR(picture)
	if err != nil {
		return nil, badRequest("%s", err)
	}
	return map[string]string{"text": text}, nil
}

// serveMessageMedia serves what a phone shows as the attachment of a message. The query names who sent it.
func (s *Server) serveMessageMedia(w http.ResponseWriter, r *http.Request) {
	p, err := s.requestPhone(r)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	for _, m := range p.history() {
		if m.ID != r.PathValue("id") || m.From != r.URL.Query().Get("from") || m.Media == nil {
			continue
		}
		content, err := s.media.open(&m.Media.source)
		if err != nil {
			break
		}
		w.Header().Set("Content-Security-Policy", "sandbox") // it is somebody else's content
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", m.Media.Mimetype)
		_, _ = w.Write(content)
		return
	}
	s.answer(w, nil, notFound("there is no such attachment"))
}
