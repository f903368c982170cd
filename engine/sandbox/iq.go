package sandbox

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// handleIQ answers a question of a logged-in companion. What is not known gets an empty result: no client has been
// seen to depend on one.
func (c *connection) handleIQ(node *waBinary.Node) {
	if kind := stringAttr(node, "type"); kind == "result" || kind == "error" {
		return
	}
	switch stringAttr(node, "xmlns") {
	case "encrypt":
		c.handlePreKeys(node)
	case "usync":
		c.handleUsync(node)
	case "passive":
		c.reply(node)
		if _, active := node.GetOptionalChildByTag("active"); active {
			c.server.activate(c)
		}
	case "md":
		c.handleMultiDevice(node)
	case "w:g2":
		c.handleGroupIQ(node)
	case "w:m":
		c.reply(node, waBinary.Node{
			Tag:     "media_conn",
			Attrs:   waBinary.Attrs{"auth": "sandbox", "ttl": "3600", "auth_ttl": "3600", "max_buckets": "12"},
			Content: []waBinary.Node{{Tag: "host", Attrs: waBinary.Attrs{"hostname": mediaHost}}},
		})
	case "w:p":
		if c.server.faults.take(faultNoPong, c.companion.number) == nil {
			c.reply(node)
		}
	case "privacy":
		c.handlePrivacy(node)
	case "w:sync:app:state":
		c.handleAppState(node)
	default:
		c.reply(node)
	}
}

// handleMultiDevice serves a companion that logs itself out.
func (c *connection) handleMultiDevice(node *waBinary.Node) {
	c.reply(node)
	child, ok := node.GetOptionalChildByTag("remove-companion-device")
	if !ok {
		return
	}
	if who, ok := addressOf(jidAttr(&child, "jid")); ok && who == c.companion {
		c.server.unlink(who, false)
	}
}

// handlePrivacy answers the question for the privacy settings, which are all at their most open; tokens that a client
// issues to its contacts are taken note of by the answer alone.
func (c *connection) handlePrivacy(node *waBinary.Node) {
	if _, ok := node.GetOptionalChildByTag("privacy"); !ok || stringAttr(node, "type") != "get" {
		c.reply(node)
		return
	}
	var categories []waBinary.Node
	for _, name := range []string{"groupadd", "last", "status", "profile", "readreceipts", "online", "calladd"} {
		categories = append(categories, waBinary.Node{Tag: "category", Attrs: waBinary.Attrs{"name": name, "value": "all"}})
	}
	c.reply(node, waBinary.Node{Tag: "privacy", Content: categories})
}

// parseUnix reads seconds since 1970.
func parseUnix(text string) time.Time {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Now()
	}
	return time.Unix(seconds, 0)
}
