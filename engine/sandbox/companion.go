package sandbox

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// maxQueued is how many stanzas wait for a companion that does not acknowledge. Beyond it the oldest are dropped.
const maxQueued = 20_000

// minPreKeys is the number of one-time prekeys below which a companion is asked for more.
const minPreKeys = 5

// companionKey names a link in the journal.
type companionKey struct {
	Number string `json:"number"`
	Device uint16 `json:"device"`
}

func (k companionKey) address() address { return address{k.Number, k.Device} }

// companionRecord is what the server keeps of a link.
type companionRecord struct {
	companionKey
	Noise           []byte    `json:"noise"`    // static Noise key: how the companion is recognised
	Identity        []byte    `json:"identity"` // Signal identity
	RegistrationID  uint32    `json:"registrationId"`
	SignedPreKeyID  uint32    `json:"signedPreKeyId"`
	SignedPreKey    []byte    `json:"signedPreKey"`
	SignedPreKeySig []byte    `json:"signedPreKeySignature"`
	Platform        string    `json:"platform"`
	LinkedAt        time.Time `json:"linkedAt"`
}

// preKeyUpload adds one-time prekeys: each is an id of 3 bytes and a public key of 32.
type preKeyUpload struct {
	companionKey
	Keys []byte `json:"keys"`
}

// preKeyTaken removes a one-time prekey that was given out.
type preKeyTaken struct {
	companionKey
	ID uint32 `json:"id"`
}

const preKeyLength = 3 + 32

// companion is a linked device. All of it is guarded by Server.mu.
type companion struct {
	companionRecord
	preKeys  map[uint32][32]byte
	uploaded bool      // it has uploaded prekeys since it was linked
	askedAt  time.Time // when more prekeys were last asked for
	verified [32]byte  // the hash of the device identity that was verified last
	live     *connection
	active   bool // the live connection has asked for what is queued
	queue    []*queued
	byKey    map[string]*queued
}

// queued is a stanza that the companion has not acknowledged.
type queued struct {
	key  string
	node waBinary.Node
	sent int // how many times on the live connection, less the acknowledgements
}

func newCompanion(r companionRecord) *companion {
	return &companion{companionRecord: r, preKeys: map[uint32][32]byte{}, byKey: map[string]*queued{}}
}

func (c *companion) addPreKeys(blob []byte) {
	c.uploaded = c.uploaded || len(blob) > 0
	for entry := range slices.Chunk(blob, preKeyLength) {
		if len(entry) == preKeyLength {
			c.preKeys[binary.BigEndian.Uint32(append([]byte{0}, entry[:3]...))] = [32]byte(entry[3:])
		}
	}
}

// preKeyBlob is the inverse of addPreKeys.
func (c *companion) preKeyBlob() []byte {
	blob := make([]byte, 0, len(c.preKeys)*preKeyLength)
	for _, id := range slices.Sorted(maps.Keys(c.preKeys)) {
		key := c.preKeys[id]
		blob = append(append(blob, preKeyID(id)...), key[:]...)
	}
	return blob
}

// lowestPreKey returns the oldest one-time prekey that is left.
func (c *companion) lowestPreKey() (id uint32, ok bool) {
	for candidate := range c.preKeys {
		if !ok || candidate < id {
			id, ok = candidate, true
		}
	}
	return id, ok
}

func preKeyID(id uint32) []byte {
	return binary.BigEndian.AppendUint32(nil, id)[1:]
}

// queueKey tells stanzas apart, in the words that the acknowledgement repeats.
func queueKey(class, id string, from, participant any, kind string) string {
	text := func(value any) string {
		if jid, ok := value.(types.JID); ok {
			return jid.String()
		}
		return ""
	}
	if class == "message" {
		kind = "" // a receipt acknowledges a message too, and says nothing of its type
	}
	return class + "|" + id + "|" + text(from) + "|" + text(participant) + "|" + kind
}

func stringAttr(node *waBinary.Node, name string) string {
	text, _ := node.Attrs[name].(string)
	return text
}

func jidAttr(node *waBinary.Node, name string) types.JID {
	jid, _ := node.Attrs[name].(types.JID)
	return jid
}

// deliver queues a stanza until the companion acknowledges it, and sends it if the companion is there.
func (s *Server) deliver(to address, node waBinary.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.companions[to]; c != nil {
		s.deliverLocked(c, node)
	}
}

func (s *Server) deliverLocked(c *companion, node waBinary.Node) {
	key := queueKey(node.Tag, stringAttr(&node, "id"), node.Attrs["from"], node.Attrs["participant"], stringAttr(&node, "type"))
	entry := c.byKey[key]
	if entry != nil {
		entry.node = node
	} else {
		if len(c.queue) >= maxQueued {
			s.stats.dropped.Add(1)
			delete(c.byKey, c.queue[0].key)
			c.queue = c.queue[1:]
		}
		entry = &queued{key: key, node: node}
		c.queue = append(c.queue, entry)
		c.byKey[key] = entry
	}
	if c.active {
		entry.sent++
		c.live.send(node)
	}
}

// acknowledged forgets a stanza that the companion has taken.
func (s *Server) acknowledged(from address, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.companions[from]
	if c == nil || c.byKey[key] == nil {
		return
	}
	// A message that was encrypted again has the key of the first try, which may be acknowledged only now.
	if c.byKey[key].sent--; c.byKey[key].sent > 0 {
		return
	}
	delete(c.byKey, key)
	for i, entry := range c.queue {
		if entry.key == key {
			if i == 0 { // nearly always: stanzas are acknowledged in order
				c.queue = c.queue[1:]
			} else {
				c.queue = slices.Delete(c.queue, i, i+1)
			}
			break
		}
	}
}

// activate sends a companion that has just logged in everything that waits for it.
func (s *Server) activate(conn *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.companions[conn.companion]
	if c == nil || c.live != conn || c.active {
		return
	}
	c.active = true
	counts := map[string]int{}
	for _, entry := range c.queue {
		counts[entry.node.Tag]++
	}
	total := strconv.Itoa(len(c.queue))
	conn.send(waBinary.Node{Tag: "ib", Content: []waBinary.Node{{Tag: "offline_preview", Attrs: waBinary.Attrs{
		"count": total, "appdata": "0", "message": strconv.Itoa(counts["message"]),
		"notification": strconv.Itoa(counts["notification"]), "receipt": strconv.Itoa(counts["receipt"]),
	}}}})
	for _, entry := range c.queue {
		entry.sent = 1
		node := entry.node
		node.Attrs = maps.Clone(node.Attrs)
		node.Attrs["offline"] = "0"
		conn.send(node)
	}
	conn.send(waBinary.Node{Tag: "ib", Content: []waBinary.Node{{Tag: "offline", Attrs: waBinary.Attrs{"count": total}}}})
}
