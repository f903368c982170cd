package sandbox

import (
	"strconv"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// handleUsync tells a companion about users: their LID, their devices, and whether a number is on WhatsApp.
func (c *connection) handleUsync(node *waBinary.Node) {
	usync := node.GetChildByTag("usync")
	query, list := usync.GetChildByTag("query"), usync.GetChildByTag("list")
	var users []waBinary.Node
	for _, user := range list.GetChildren() {
		if answer, ok := c.describeUser(&user, &query); ok {
			users = append(users, answer)
		}
	}
	c.reply(node, waBinary.Node{
		Tag: "usync",
		Attrs: waBinary.Attrs{
			"sid": stringAttr(&usync, "sid"), "index": "0", "last": "true", "mode": stringAttr(&usync, "mode"),
		},
		Content: []waBinary.Node{{Tag: "result"}, {Tag: "list", Content: users}},
	})
}

// describeUser answers for one user of a usync query.
func (c *connection) describeUser(user, query *waBinary.Node) (waBinary.Node, bool) {
	s := c.server
	if contact, ok := user.GetOptionalChildByTag("contact"); ok {
		text, _ := contact.Content.([]byte)
		number, _, _ := strings.Cut(strings.TrimPrefix(string(text), "+"), "@")
		answer := waBinary.Node{Tag: "contact", Attrs: waBinary.Attrs{"type": "out"}, Content: text}
		who := address{number, 0}
		attrs := waBinary.Attrs{"jid": who.pn()}
		if validNumber(number) && s.settingsOf(number).Registered {
			answer.Attrs["type"] = "in"
			attrs = waBinary.Attrs{"jid": who.lid(), "pn_jid": who.pn()}
		}
		return waBinary.Node{Tag: "user", Attrs: attrs, Content: []waBinary.Node{answer}}, true
	}
	jid := jidAttr(user, "jid")
	who, ok := addressOf(jid)
	if !ok {
		return waBinary.Node{}, false
	}
	var answers []waBinary.Node
	registered := s.settingsOf(who.number).Registered
	for _, wanted := range query.GetChildren() {
		switch {
		case wanted.Tag == "lid" && registered:
			answers = append(answers, waBinary.Node{Tag: "lid", Attrs: waBinary.Attrs{"val": address{who.number, 0}.lid()}})
		case wanted.Tag == "devices" && registered:
			answers = append(answers, s.deviceList(who.number, jid, c.companion))
		case wanted.Tag == "business":
			answers = append(answers, waBinary.Node{Tag: "business"})
		}
	}
	return waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": jid.ToNonAD()}, Content: answers}, true
}

// deviceList lists a number's devices for a companion, and remembers to tell it of changes.
func (s *Server) deviceList(number string, asked types.JID, watcher address) waBinary.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watchers) > maxPhones {
		clear(s.watchers) // those who miss a change learn of it by the hash in an acknowledgement
	}
	if s.watchers[number] == nil {
		s.watchers[number] = map[address]struct{}{}
	}
	s.watchers[number][watcher] = struct{}{}
	var jids []types.JID
	var devices []waBinary.Node
	for _, device := range s.devicesLocked(number) {
		jid := asked
		jid.Device = device.device
		jids = append(jids, jid)
		attrs := waBinary.Attrs{"id": strconv.Itoa(int(device.device)), "is_hosted": "false"}
		if device.device != 0 {
			attrs["key-index"] = attrs["id"]
		}
		devices = append(devices, waBinary.Node{Tag: "device", Attrs: attrs})
	}
	return waBinary.Node{Tag: "devices", Content: []waBinary.Node{
		{Tag: "device-list", Attrs: waBinary.Attrs{"hash": participantHash(jids)}, Content: devices},
		{Tag: "key-index-list", Attrs: waBinary.Attrs{"ts": unixNow()}},
	}}
}
