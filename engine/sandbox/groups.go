package sandbox

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	libgroups "go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/protocol"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// Roles of a group's members, as the protocol names them.
const (
	roleMember     = ""
	roleAdmin      = "admin"
	roleSuperAdmin = "superadmin"
)

// group is a state of a group. It is never changed: a change makes a new one.
type group struct {
	ID            string    `json:"id"` // with @g.us
	Name          string    `json:"name"`
	NamedAt       time.Time `json:"namedAt"`
	Description   string    `json:"description"`
	DescriptionID string    `json:"descriptionId"`
	Owner         string    `json:"owner"`
	CreatedAt     time.Time `json:"createdAt"`
	Members       []member  `json:"members"`
	Announce      bool      `json:"announce"` // only admins may write
	Locked        bool      `json:"locked"`   // only admins may change it
	Ephemeral     uint32    `json:"disappearsAfterSeconds"`
	Version       int       `json:"version"` // of the list of members
}

// member is one number in a group.
type member struct {
	Number string `json:"number"`
	Role   string `json:"role"`
}

func (g *group) jid() types.JID {
	user, _, _ := strings.Cut(g.ID, "@")
	return types.JID{User: user, Server: types.GroupServer}
}

func (g *group) member(number string) *member {
	for i := range g.Members {
		if g.Members[i].Number == number {
			return &g.Members[i]
		}
	}
	return nil
}

func (g *group) has(number string) bool { return g.member(number) != nil }

func (g *group) admin(number string) bool {
	m := g.member(number)
	return m != nil && m.Role != roleMember
}

func (g *group) mayWrite(number string) bool {
	return g.has(number) && (!g.Announce || g.admin(number))
}

// group returns a group by its id, with or without @g.us, or nil.
func (s *Server) group(id string) *group {
	user, _, _ := strings.Cut(id, "@")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[user+"@"+types.GroupServer]
}

// groupDevices lists the devices of all members.
func (s *Server) groupDevices(g *group) []address {
	s.mu.Lock()
	defer s.mu.Unlock()
	var devices []address
	for _, m := range g.Members {
		devices = append(devices, s.devicesLocked(m.Number)...)
	}
	return devices
}

// createGroup makes a group and tells its members' companions.
func (s *Server) createGroup(name, owner string, participants []string) (*group, error) {
	now := time.Now().UTC()
	g := &group{Name: name, NamedAt: now, Owner: owner, CreatedAt: now, Members: []member{{owner, roleSuperAdmin}}}
	for _, number := range participants {
		if !g.has(number) {
			g.Members = append(g.Members, member{number, roleMember})
		}
	}
	s.mu.Lock()
	for {
		g.ID = "120363" + strconv.FormatUint(100_000_000_000+uint64(now.UnixNano())%900_000_000_000, 10) + "@" + types.GroupServer
		if s.groups[g.ID] == nil {
			break
		}
		now = now.Add(time.Nanosecond)
	}
	if err := s.save(record{Group: g}); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.groups[g.ID] = g
	s.mu.Unlock()
	s.events.publish("group", g)
	s.notifyGroup(g, owner, g.numbers(), waBinary.Node{
		Tag: "create", Attrs: waBinary.Attrs{"type": "new", "key": newID()}, Content: []waBinary.Node{g.node()},
	})
	return g, nil
}

func (g *group) numbers() []string {
	numbers := make([]string, len(g.Members))
	for i, m := range g.Members {
		numbers[i] = m.Number
	}
	return numbers
}

// node describes the group to a client.
func (g *group) node() waBinary.Node {
	owner := address{g.Owner, 0}
	children := g.participants(g.Members)
	if g.Description != "" {
		children = append(children, waBinary.Node{
			Tag:     "description",
			Attrs:   waBinary.Attrs{"id": g.DescriptionID, "t": unix(g.CreatedAt)},
			Content: []waBinary.Node{{Tag: "body", Content: []byte(g.Description)}},
		})
	}
	if g.Announce {
		children = append(children, waBinary.Node{Tag: "announcement"})
	}
	if g.Locked {
		children = append(children, waBinary.Node{Tag: "locked"})
	}
	if g.Ephemeral != 0 {
		children = append(children, waBinary.Node{
			Tag: "ephemeral", Attrs: waBinary.Attrs{"expiration": strconv.FormatUint(uint64(g.Ephemeral), 10)},
		})
	}
	return waBinary.Node{
		Tag: "group",
		Attrs: waBinary.Attrs{
			"id": g.jid().User, "subject": g.Name, "s_t": unix(g.NamedAt), "s_o": owner.lid(), "s_o_pn": owner.pn(),
			"creation": unix(g.CreatedAt), "creator": owner.lid(), "creator_pn": owner.pn(),
			"addressing_mode": string(types.AddressingModeLID), "size": strconv.Itoa(len(g.Members)),
			"p_v_id": strconv.Itoa(g.Version),
		},
		Content: children,
	}
}

func (g *group) participants(members []member) []waBinary.Node {
	nodes := make([]waBinary.Node, 0, len(members))
	for _, m := range members {
		who := address{m.Number, 0}
		nodes = append(nodes, waBinary.Node{
			Tag: "participant", Attrs: waBinary.Attrs{"jid": who.lid(), "phone_number": who.pn(), "type": m.Role},
		})
	}
	return nodes
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// notifyGroup tells the companions of these numbers of an event in a group.
func (s *Server) notifyGroup(g *group, by string, numbers []string, event waBinary.Node) {
	node := notification(g.jid(), "w:gp2", event)
	actor := address{by, 0}
	node.Attrs["participant"], node.Attrs["participant_pn"] = actor.lid(), actor.pn()
	node.Attrs["notify"] = s.settingsOf(by).Name
	for _, number := range numbers {
		for _, device := range s.devicesOf(number)[1:] {
			s.deliver(device, node)
		}
	}
}

// groupChange is a wish to change a group; what is nil or empty stays.
type groupChange struct {
	By          string   `json:"by"` // the member who does it; "" is the owner
	Name        *given   `json:"name"`
	Description *given   `json:"description"`
	Announce    *bool    `json:"announce"`
	Locked      *bool    `json:"locked"`
	Ephemeral   *uint32  `json:"disappearsAfterSeconds"`
	Add         []string `json:"add"`
	Remove      []string `json:"remove"`
	Promote     []string `json:"promote"`
	Demote      []string `json:"demote"`
}

// changeGroup changes a group and tells its members' companions, and those of members who leave.
func (s *Server) changeGroup(id string, change groupChange) (*group, error) {
	s.mu.Lock()
	old := s.groups[id]
	if old == nil {
		s.mu.Unlock()
		return nil, notFound("there is no group %s", id)
	}
	if change.By == "" {
		change.By = old.Owner
	}
	leaving := len(change.Remove) == 1 && change.Remove[0] == change.By
	if !old.has(change.By) {
		s.mu.Unlock()
		return nil, conflict("%s is not in this group", change.By)
	}
	members := len(change.Add)+len(change.Remove)+len(change.Promote)+len(change.Demote) > 0
	if !old.admin(change.By) && !leaving && (members || old.Locked) {
		s.mu.Unlock()
		return nil, conflict("%s is no admin of this group", change.By)
	}
	g, events := old.changed(&change)
	if err := s.save(record{Group: g}); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.groups[id] = g
	s.mu.Unlock()
	s.events.publish("group", g)
	audience := old.numbers()
	for _, number := range g.numbers() {
		if !slices.Contains(audience, number) {
			// Who joins is told of the whole group; who was there of the change.
			s.notifyGroup(g, change.By, []string{number}, waBinary.Node{Tag: "create", Content: []waBinary.Node{g.node()}})
		}
	}
	for _, event := range events {
		s.notifyGroup(g, change.By, audience, event)
	}
	return g, nil
}

// changed returns the group after a change, and the events that tell of it.
func (g *group) changed(change *groupChange) (*group, []waBinary.Node) {
	next, now := *g, time.Now().UTC()
	next.Members = slices.Clone(g.Members)
	var events []waBinary.Node
	event := func(tag string, attrs waBinary.Attrs, content ...waBinary.Node) {
		events = append(events, waBinary.Node{Tag: tag, Attrs: attrs, Content: content})
	}
	if change.Name != nil {
		next.Name, next.NamedAt = string(*change.Name), now
		by := address{change.By, 0}
		event("subject", waBinary.Attrs{"subject": next.Name, "s_t": unix(now), "s_o": by.lid(), "s_o_pn": by.pn()})
	}
	if change.Description != nil {
		next.Description, next.DescriptionID = string(*change.Description), newID()
		event("description", waBinary.Attrs{"id": next.DescriptionID}, waBinary.Node{Tag: "body", Content: []byte(next.Description)})
	}
	if change.Announce != nil {
		next.Announce = *change.Announce
		event(map[bool]string{true: "announcement", false: "not_announcement"}[next.Announce], waBinary.Attrs{"v_id": newID()})
	}
	if change.Locked != nil {
		next.Locked = *change.Locked
		event(map[bool]string{true: "locked", false: "unlocked"}[next.Locked], nil)
	}
	if change.Ephemeral != nil {
		next.Ephemeral = *change.Ephemeral
		if next.Ephemeral == 0 {
			event("not_ephemeral", nil)
		} else {
			event("ephemeral", waBinary.Attrs{"expiration": strconv.FormatUint(uint64(next.Ephemeral), 10)})
		}
	}
	apply := func(tag string, numbers []string, edit func(number string) bool) {
		var touched []member
		for _, number := range numbers {
			if edit(number) {
				touched = append(touched, member{Number: number})
			}
		}
		if len(touched) > 0 {
			versions := waBinary.Attrs{"prev_v_id": strconv.Itoa(next.Version), "v_id": strconv.Itoa(next.Version + 1)}
			next.Version++
			event(tag, versions, g.participants(touched)...)
		}
	}
	role := func(from, to string) func(string) bool {
		return func(number string) bool {
			m := next.member(number)
			if m == nil || m.Role != from {
				return false
			}
			m.Role = to
			return true
		}
	}
	apply("add", change.Add, func(number string) bool {
		if next.has(number) {
			return false
		}
		next.Members = append(next.Members, member{number, roleMember})
		return true
	})
	apply("remove", change.Remove, func(number string) bool {
		before := len(next.Members)
		next.Members = slices.DeleteFunc(next.Members, func(m member) bool { return m.Number == number })
		return len(next.Members) < before
	})
	apply("promote", change.Promote, role(roleMember, roleAdmin))
	apply("demote", change.Demote, role(roleAdmin, roleMember))
	return &next, events
}

// senderKey is the phone's sender key for a group, as it stands, or nil.
func (p *phone) senderKey(g *group) *waE2E.SenderKeyDistributionMessage {
	name := protocol.NewSenderKeyName(g.jid().String(), p.device.LID.SignalAddress())
	distribution, err := libgroups.NewGroupSessionBuilder(p.device, serializer).Create(context.Background(), name)
	if err != nil {
		return nil
	}
	return &waE2E.SenderKeyDistributionMessage{
		GroupID: proto.String(g.jid().String()), AxolotlSenderKeyDistributionMessage: distribution.Serialize(),
	}
}
