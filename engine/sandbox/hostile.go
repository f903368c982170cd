package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// maxHostileText is how many bytes a text may have that a person's app would bound.
const maxHostileText = 1 << 18

// given is a text that goes out exactly as it is: a JSON string, a number as it is written, or {"base64": "..."} for
// bytes that no JSON string can hold.
type given string

func (g *given) UnmarshalJSON(raw []byte) error {
	var encoded struct {
		Base64 []byte `json:"base64"`
	}
	switch raw[0] {
	case '{':
		if err := json.Unmarshal(raw, &encoded); err != nil {
			return err
		}
		*g = given(encoded.Base64)
	case '"':
		return json.Unmarshal(raw, (*string)(g))
	default:
		*g = given(raw)
	}
	return nil
}

// hostile is how a message or receipt differs from what an app would send. What is nil is as usual.
type hostile struct {
	ID        *given `json:"id"`
	Timestamp *given `json:"timestamp"`
	PushName  *given `json:"pushName"`
	Type      *given `json:"type"`
	Edit      *given `json:"edit"`
	Version   *given `json:"version"` // of what is encrypted: 2 is a waE2E.Message, 3 is read as Messenger's
}

// apply changes a message as wished.
func (h *hostile) apply(m *parcel) {
	for into, wish := range map[*string]*given{
		&m.id: h.ID, &m.at: h.Timestamp, &m.kind: h.Type, &m.edit: h.Edit, &m.version: h.Version,
	} {
		if wish != nil {
			*into = string(*wish)
		}
	}
	m.pushName = (*string)(h.PushName)
}

// writeRaw sends bytes as the plaintext of a message, a waE2E.Message or not, and returns the message's id.
func (s *Server) writeRaw(r *http.Request, p *phone, to string, plain []byte, wish hostile) (string, error) {
	m, err := p.parcelFor(to)
	if err != nil {
		return "", err
	}
	wish.apply(&m)
	if m.id == "" {
		return "", badRequest("a message has an \"id\"")
	}
	shown := message{ID: m.id, From: p.number, To: m.chat, At: time.Now().UTC()}
	content := &waE2E.Message{}
	if proto.Unmarshal(plain, content) == nil {
		shown.Text, _, _ = visible(unwrap(content))
	}
	return m.id, p.send(r.Context(), m, plain, shown)
}

// postReceipt sends a receipt for messages of which the phone need not know.
func (s *Server) postReceipt(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		To        string  `json:"to"`
		Group     string  `json:"group"`
		IDs       []given `json:"ids"`
		Type      given   `json:"type"`
		Timestamp *given  `json:"timestamp"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	wish.To = strings.TrimPrefix(wish.To, "+")
	if !validNumber(wish.To) || len(wish.IDs) == 0 {
		return nil, badRequest("a receipt goes \"to\" a number of 7 to 15 digits and has \"ids\"")
	}
	var g *group
	if wish.Group != "" {
		if g = s.group(wish.Group); g == nil {
			return nil, notFound("there is no group %s", wish.Group)
		}
	}
	node := receiptStanza(address{p.number, 0}, g, string(wish.IDs[0]), string(wish.Type))
	if wish.Timestamp != nil {
		node.Attrs["t"] = string(*wish.Timestamp)
	}
	if others := wish.IDs[1:]; len(others) > 0 {
		items := make([]waBinary.Node, len(others))
		for i, id := range others {
			items[i] = waBinary.Node{Tag: "item", Attrs: waBinary.Attrs{"id": string(id)}}
		}
		node.Content = []waBinary.Node{{Tag: "list", Content: items}}
	}
	for _, device := range s.devicesOf(wish.To)[1:] {
		s.deliver(device, node)
	}
	return map[string]int{"receipts": len(wish.IDs)}, nil
}

// postSettings adds a patch, which need not be one that an app can read, to a collection of a phone's app state.
func (s *Server) postSettings(r *http.Request) (any, error) {
	p, err := s.requestPhone(r)
	if err != nil {
		return nil, err
	}
	var wish struct {
		Collection string `json:"collection"`
		Raw        []byte `json:"raw"`
	}
	if err = readJSON(r, &wish); err != nil {
		return nil, err
	}
	key := collectionKey{p.number, wish.Collection}
	if !s.addPatch(key, uint64(len(s.patchesSince(key, 0))), wish.Raw, address{p.number, 0}) {
		return nil, badRequest("\"raw\" is a SyncdPatch for a \"collection\"")
	}
	return map[string]string{"collection": wish.Collection}, nil
}
