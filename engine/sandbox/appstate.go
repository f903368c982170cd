package sandbox

import (
	"strconv"

	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"google.golang.org/protobuf/proto"
)

// collectionKey names a collection of an account's app state.
type collectionKey struct{ number, name string }

// storedPatch is one version of a collection. The server cannot read it.
type storedPatch struct {
	Number  string `json:"number"`
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	Data    []byte `json:"data"` // a serialized waServerSync.SyncdPatch, with its version
}

func (p *storedPatch) key() collectionKey { return collectionKey{p.Number, p.Name} }

// handleAppState serves the collections of app state: what is new since a version, and a patch to add.
func (c *connection) handleAppState(node *waBinary.Node) {
	sync := node.GetChildByTag("sync")
	var answers []waBinary.Node
	for _, wanted := range sync.GetChildrenByTag("collection") {
		key := collectionKey{c.companion.number, stringAttr(&wanted, "name")}
		since, _ := strconv.ParseUint(stringAttr(&wanted, "version"), 10, 64)
		accepted := true
		if patch, ok := wanted.GetOptionalChildByTag("patch"); ok {
			data, _ := patch.Content.([]byte)
			accepted = c.server.addPatch(key, since, data, c.companion)
			p := c.server.phone(key.number)
			p.actor.post(func() { p.readState(appstate.WAPatchName(key.name)) })
		}
		answers = append(answers, c.server.collection(key, since, accepted))
	}
	c.reply(node, waBinary.Node{Tag: "sync", Content: answers})
}

// collection answers with the patches after a version. A patch that was not accepted because another came first is
// answered with 409 and that other one, so that the client can try again.
func (s *Server) collection(key collectionKey, since uint64, accepted bool) waBinary.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := uint64(len(s.patches[key]))
	var patches []waBinary.Node
	for _, patch := range s.patches[key][min(since, version):] {
		patches = append(patches, waBinary.Node{Tag: "patch", Content: patch.Data})
	}
	attrs := waBinary.Attrs{"name": key.name, "version": strconv.FormatUint(version, 10), "type": "result"}
	children := []waBinary.Node{{Tag: "patches", Content: patches}}
	if !accepted {
		attrs["type"] = "error"
		children = append(children, waBinary.Node{Tag: "error", Attrs: waBinary.Attrs{"code": "409", "text": "conflict"}})
	}
	return waBinary.Node{Tag: "collection", Attrs: attrs, Content: children}
}

// patchesSince returns the patches of a collection after a version.
func (s *Server) patchesSince(key collectionKey, since uint64) []storedPatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.patches[key][min(since, uint64(len(s.patches[key]))):]
}

// addPatch stores the next version of a collection and tells the account's other companions. It reports whether the
// patch was made on top of the current version and can be read.
func (s *Server) addPatch(key collectionKey, base uint64, data []byte, by address) bool {
	var patch waServerSync.SyncdPatch
	if err := proto.Unmarshal(data, &patch); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	version := uint64(len(s.patches[key]))
	if base != version {
		return false
	}
	patch.Version = &waServerSync.SyncdVersion{Version: proto.Uint64(version + 1)}
	numbered, err := proto.Marshal(&patch)
	if err != nil {
		return false
	}
	stored := storedPatch{key.number, key.name, version + 1, numbered}
	if s.save(record{Patch: &stored}) != nil {
		return false
	}
	s.patches[key] = append(s.patches[key], stored)
	for _, device := range s.devicesLocked(key.number)[1:] {
		if device != by {
			s.deliverLocked(s.companions[device], notification(address{key.number, 0}.pn(), "server_sync", waBinary.Node{
				Tag: "collection", Attrs: waBinary.Attrs{"name": key.name, "version": strconv.FormatUint(version+1, 10)},
			}))
		}
	}
	return true
}
