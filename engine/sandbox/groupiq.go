package sandbox

import (
	"errors"
	"strconv"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// handleGroupIQ serves a companion's questions and wishes about groups (namespace w:g2).
func (c *connection) handleGroupIQ(node *waBinary.Node) {
	children := node.GetChildren()
	to := jidAttr(node, "to")
	if len(children) == 0 {
		c.refuse(node, 400, "bad-request")
		return
	}
	child := &children[0]
	if to.User == "" {
		c.handleGroupsIQ(node, child)
		return
	}
	g := c.server.group(to.User)
	if g == nil {
		c.refuse(node, codeNotFound, "item-not-found")
		return
	}
	if !g.has(c.companion.number) {
		c.refuse(node, codeForbidden, "forbidden")
		return
	}
	switch child.Tag {
	case "query":
		c.reply(node, g.node())
	case "invite":
		code := waBinary.Attrs{"code": "sandbox" + g.jid().User}
		c.reply(node, waBinary.Node{Tag: "invite", Attrs: code})
	default:
		c.changeGroup(node, g, child)
	}
}

// handleGroupsIQ serves what is not about one group that exists.
func (c *connection) handleGroupsIQ(node, child *waBinary.Node) {
	s, own := c.server, c.companion.number
	switch child.Tag {
	case "participating":
		s.mu.Lock()
		var nodes []waBinary.Node
		for _, g := range s.groups {
			if g.has(own) {
				nodes = append(nodes, g.node())
			}
		}
		s.mu.Unlock()
		c.reply(node, waBinary.Node{Tag: "groups", Content: nodes})
	case "create":
		g, err := s.createGroup(stringAttr(child, "subject"), own, participantNumbers(child))
		if err != nil {
			c.refuse(node, 500, "internal-server-error")
			return
		}
		c.reply(node, g.node())
	case "leave":
		for _, left := range child.GetChildren() {
			_, err := s.changeGroup(jidAttr(&left, "id").String(), groupChange{By: own, Remove: []string{own}})
			if err != nil {
				c.refuse(node, codeNotFound, "item-not-found")
				return
			}
		}
		c.reply(node)
	default:
		c.refuse(node, 501, "feature-not-implemented")
	}
}

// changeGroup applies a companion's change to a group.
func (c *connection) changeGroup(node *waBinary.Node, g *group, child *waBinary.Node) {
	change := groupChange{By: c.companion.number}
	yes, no := true, false
	numbers := participantNumbers(child)
	switch child.Tag {
	case "add":
		change.Add = numbers
	case "remove":
		change.Remove = numbers
	case "promote":
		change.Promote = numbers
	case "demote":
		change.Demote = numbers
	case "subject":
		content, _ := child.Content.([]byte)
		name := given(content)
		change.Name = &name
	case "description":
		body := child.GetChildByTag("body")
		content, _ := body.Content.([]byte)
		text := given(content)
		change.Description = &text
	case "announcement":
		change.Announce = &yes
	case "not_announcement":
		change.Announce = &no
	case "locked":
		change.Locked = &yes
	case "unlocked":
		change.Locked = &no
	case "ephemeral", "not_ephemeral":
		seconds, _ := strconv.ParseUint(stringAttr(child, "expiration"), 10, 32)
		timer := uint32(seconds)
		change.Ephemeral = &timer
	default:
		c.refuse(node, 501, "feature-not-implemented")
		return
	}
	if _, err := c.server.changeGroup(g.ID, change); err != nil {
		code, text := codeForbidden, "forbidden"
		var refused *httpError
		if !errors.As(err, &refused) {
			code, text = 500, "internal-server-error"
		}
		c.refuse(node, code, text)
		return
	}
	var touched []member
	for _, number := range numbers {
		touched = append(touched, member{Number: number})
	}
	c.reply(node, waBinary.Node{Tag: child.Tag, Content: g.participants(touched)})
}

func participantNumbers(node *waBinary.Node) []string {
	var numbers []string
	for _, participant := range node.GetChildrenByTag("participant") {
		if who, ok := addressOf(jidAttr(&participant, "jid")); ok {
			numbers = append(numbers, who.number)
		}
	}
	return numbers
}
