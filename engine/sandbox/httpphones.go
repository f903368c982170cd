package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
)

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
		Name       *given  `json:"name"`
		Receipts   *string `json:"receipts"`
		Registered *bool   `json:"registered"`
		Passkey    *bool   `json:"passkey"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	if wish.Receipts != nil && !slices.Contains([]string{receiptsNone, receiptsDelivered, receiptsRead}, *wish.Receipts) {
		return nil, badRequest("\"receipts\" is none, delivered or read")
	}
	if wish.Name != nil {
		if *wish.Name == "" || len(*wish.Name) > maxHostileText {
			return nil, badRequest("\"name\" has 1 to %d bytes", maxHostileText)
		}
		if err = p.rename(string(*wish.Name)); err != nil {
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
		if wish.Passkey != nil {
			settings.Passkey = *wish.Passkey
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
		Raw  []byte `json:"raw"`
		hostile
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	var id string
	to := strings.TrimPrefix(wish.To, "+")
	switch {
	case wish.Raw != nil:
		id, err = s.writeRaw(r, p, to, wish.Raw, wish.hostile)
	case wish.hostile != hostile{}:
		err = badRequest("only a \"raw\" message goes out as you say")
	case wish.Text == "" || len(wish.Text) > 65_536:
		err = badRequest("\"text\" must have 1 to 65536 bytes")
	default:
		id, err = p.write(r.Context(), to, wish.Text)
	}
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

func (s *Server) postPasskey(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var options types.WebAuthnPublicKey
	if err = readJSON(r, &options); err != nil {
		return nil, err
	}
	return p.assert(&options)
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
