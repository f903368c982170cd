package sandbox

import (
	"encoding/binary"
	"strconv"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/util/optional"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// bundle is what one needs to begin a Signal session with a device.
type bundle struct {
	registrationID uint32
	identity       []byte
	signedID       uint32
	signedKey      []byte
	signature      []byte
	oneTimeID      uint32
	oneTimeKey     []byte // nil if none is left
}

// askAgainAfter is how long a companion has to upload prekeys before it is asked once more.
const askAgainAfter = time.Minute

// bundle returns a device's keys. It uses up a one-time prekey of a companion, and asks for more when few are left.
func (s *Server) bundle(who address) (*bundle, bool) {
	if who.device == 0 {
		if !s.settingsOf(who.number).Registered {
			return nil, false
		}
		device := s.phone(who.number).device
		return &bundle{
			registrationID: device.RegistrationID, identity: device.IdentityKey.Pub[:], signedID: device.SignedPreKey.KeyID,
			signedKey: device.SignedPreKey.Pub[:], signature: device.SignedPreKey.Signature[:],
		}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.companions[who]
	if c == nil {
		return nil, false
	}
	b := &bundle{
		registrationID: c.RegistrationID, identity: c.Identity, signedID: c.SignedPreKeyID,
		signedKey: c.SignedPreKey, signature: c.SignedPreKeySig,
	}
	if id, ok := c.lowestPreKey(); ok && s.save(record{PreKey: &preKeyTaken{c.companionKey, id}}) == nil {
		key := c.preKeys[id]
		delete(c.preKeys, id)
		b.oneTimeID, b.oneTimeKey = id, key[:]
	}
	if c.uploaded && len(c.preKeys) < minPreKeys && time.Since(c.askedAt) > askAgainAfter {
		c.askedAt = time.Now()
		s.deliverLocked(c, notification(types.ServerJID, "encrypt", waBinary.Node{
			Tag: "count", Attrs: waBinary.Attrs{"value": strconv.Itoa(len(c.preKeys))},
		}))
	}
	return b, true
}

// signal is the bundle as libsignal takes it.
func (b *bundle) signal(device uint16) *prekey.Bundle {
	public := func(key []byte) ecc.ECPublicKeyable { return ecc.NewDjbECPublicKey([32]byte(key)) }
	oneTimeID, oneTimeKey := optional.NewEmptyUint32(), ecc.ECPublicKeyable(nil)
	if b.oneTimeKey != nil {
		oneTimeID, oneTimeKey = optional.NewOptionalUint32(b.oneTimeID), public(b.oneTimeKey)
	}
	return prekey.NewBundle(b.registrationID, uint32(device), oneTimeID, b.signedID, oneTimeKey,
		public(b.signedKey), [64]byte(b.signature), identity.NewKey(public(b.identity)))
}

// nodes is the bundle as the server answers it.
func (b *bundle) nodes() []waBinary.Node {
	nodes := []waBinary.Node{
		{Tag: "registration", Content: binary.BigEndian.AppendUint32(nil, b.registrationID)},
		{Tag: "type", Content: []byte{ecc.DjbType}},
		{Tag: "identity", Content: b.identity},
		{Tag: "skey", Content: []waBinary.Node{
			{Tag: "id", Content: preKeyID(b.signedID)},
			{Tag: "value", Content: b.signedKey},
			{Tag: "signature", Content: b.signature},
		}},
	}
	if b.oneTimeKey != nil {
		nodes = append(nodes, waBinary.Node{Tag: "key", Content: []waBinary.Node{
			{Tag: "id", Content: preKeyID(b.oneTimeID)},
			{Tag: "value", Content: b.oneTimeKey},
		}})
	}
	return nodes
}

// parseBundle reads the keys that a retry receipt carries.
func parseBundle(registration, keys *waBinary.Node) (*bundle, bool) {
	bytes := func(node *waBinary.Node, length int, path ...string) []byte {
		child := node.GetChildByTag(path...)
		if content, ok := child.Content.([]byte); ok && len(content) == length {
			return content
		}
		return nil
	}
	id := func(content []byte) uint32 { return binary.BigEndian.Uint32(append([]byte{0}, content...)) }
	number, ok := registration.Content.([]byte)
	signedID := bytes(keys, 3, "skey", "id")
	b := &bundle{
		identity: bytes(keys, 32, "identity"), signedKey: bytes(keys, 32, "skey", "value"),
		signature: bytes(keys, 64, "skey", "signature"), oneTimeKey: bytes(keys, 32, "key", "value"),
	}
	oneTimeID := bytes(keys, 3, "key", "id")
	if !ok || len(number) != 4 || signedID == nil || b.identity == nil || b.signedKey == nil || b.signature == nil ||
		(b.oneTimeKey == nil) != (oneTimeID == nil) {
		return nil, false
	}
	b.registrationID, b.signedID = binary.BigEndian.Uint32(number), id(signedID)
	if oneTimeID != nil {
		b.oneTimeID = id(oneTimeID)
	}
	return b, true
}

// handlePreKeys serves the questions about prekeys: how many are left, here are more, give me those of others.
func (c *connection) handlePreKeys(node *waBinary.Node) {
	s := c.server
	if _, ok := node.GetOptionalChildByTag("count"); ok {
		s.mu.Lock()
		count := 0
		if own := s.companions[c.companion]; own != nil {
			count = len(own.preKeys)
		}
		s.mu.Unlock()
		c.reply(node, waBinary.Node{Tag: "count", Attrs: waBinary.Attrs{"value": strconv.Itoa(count)}})
		return
	}
	if wanted, ok := node.GetOptionalChildByTag("key"); ok {
		var users []waBinary.Node
		for _, user := range wanted.GetChildren() {
			users = append(users, s.describeBundle(jidAttr(&user, "jid")))
		}
		c.reply(node, waBinary.Node{Tag: "list", Content: users})
		return
	}
	if list, ok := node.GetOptionalChildByTag("list"); ok {
		if code := c.storePreKeys(node, &list); code != 0 {
			c.refuse(node, code, "bad-request")
			return
		}
	}
	c.reply(node)
}

func (s *Server) describeBundle(jid types.JID) waBinary.Node {
	node := waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": jid}}
	if who, ok := addressOf(jid); ok {
		if b, ok := s.bundle(who); ok {
			node.Content = b.nodes()
			return node
		}
	}
	node.Content = []waBinary.Node{{Tag: "error", Attrs: waBinary.Attrs{"code": "404", "text": "item-not-found"}}}
	return node
}

// storePreKeys takes an upload. Its signed prekey must be signed by the identity that the companion linked with.
func (c *connection) storePreKeys(node, list *waBinary.Node) (code int) {
	registration, _ := node.GetOptionalChildByTag("registration")
	b, ok := parseBundle(&registration, node)
	if !ok {
		return 400
	}
	var blob []byte
	for _, key := range list.GetChildrenByTag("key") {
		idNode, valueNode := key.GetChildByTag("id"), key.GetChildByTag("value")
		id, _ := idNode.Content.([]byte)
		value, _ := valueNode.Content.([]byte)
		if len(id) != 3 || len(value) != 32 {
			return 400
		}
		blob = append(append(blob, id...), value...)
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.companions[c.companion]
	if own == nil {
		return 401
	}
	if !signedBy(own.Identity, b.signature, []byte{ecc.DjbType}, b.signedKey) {
		return 400
	}
	updated := own.companionRecord
	updated.SignedPreKeyID, updated.SignedPreKey, updated.SignedPreKeySig = b.signedID, b.signedKey, b.signature
	if updated.SignedPreKeyID != own.SignedPreKeyID && s.save(record{Companion: &updated}) != nil {
		return 500
	}
	if s.save(record{PreKeys: &preKeyUpload{own.companionKey, blob}}) != nil {
		return 500
	}
	own.companionRecord = updated
	own.addPreKeys(blob)
	return 0
}
