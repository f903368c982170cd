package sandbox

import (
	"context"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/store"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// stateKeyID is the id of the one key of a phone's app state.
var stateKeyID = []byte{0, 0, 0, 0, 0, 1}

// stateKey is that key, which follows from the seed.
func (p *phone) stateKey() []byte {
	key := p.server.seed.secret("app state key " + p.number)
	return key[:]
}

// stateKeyShare is the message that gives a companion the key.
func (p *phone) stateKeyShare() *waE2E.ProtocolMessage {
	return &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum(),
		AppStateSyncKeyShare: &waE2E.AppStateSyncKeyShare{Keys: []*waE2E.AppStateSyncKey{{
			KeyID: &waE2E.AppStateSyncKeyId{KeyID: stateKeyID},
			KeyData: &waE2E.AppStateSyncKeyData{
				KeyData:     p.stateKey(),
				Fingerprint: &waE2E.AppStateSyncKeyFingerprint{RawID: proto.Uint32(p.device.RegistrationID), CurrentIndex: proto.Uint32(0), DeviceIndexes: []uint32{0}},
				Timestamp:   proto.Int64(time.Now().UnixMilli()),
			},
		}}},
	}
}

// processor encodes and decodes the phone's app state.
func (p *phone) processor() *appstate.Processor {
	p.memory.stateKeys[string(stateKeyID)] = store.AppStateSyncKey{Data: p.stateKey()}
	return appstate.NewProcessor(p.device, waLog.Noop)
}

// ensureState writes the phone's own name into its app state, unless it stands there.
func (p *phone) ensureState() {
	p.readState(appstate.WAPatchCriticalBlock)
	if p.memory.versions[string(appstate.WAPatchCriticalBlock)].number == 0 {
		p.writeState(appstate.BuildSettingPushName(p.current().Name))
	}
}

// readState takes in what others have added to a collection. A value that is too short makes the decoder panic.
func (p *phone) readState(name appstate.WAPatchName) {
	defer func() {
		if problem := recover(); problem != nil {
			p.server.log.Warn("app state cannot be read", "phone", p.number, "collection", name, "panic", problem)
		}
	}()
	ctx := context.Background()
	version, hash, _ := p.memory.GetAppStateVersion(ctx, string(name))
	list := &appstate.PatchList{Name: name}
	for _, stored := range p.server.patchesSince(collectionKey{p.number, string(name)}, version) {
		patch := &waServerSync.SyncdPatch{}
		if err := proto.Unmarshal(stored.Data, patch); err != nil {
			p.server.log.Error("a patch of app state cannot be read", "phone", p.number, "error", err)
			return
		}
		list.Patches = append(list.Patches, patch)
	}
	if len(list.Patches) == 0 {
		return
	}
	mutations, _, err := p.processor().DecodePatches(ctx, list, appstate.HashState{Version: version, Hash: hash}, true)
	if err != nil {
		p.server.log.Warn("a companion's app state is refused", "phone", p.number, "collection", name, "error", err)
		return
	}
	for _, mutation := range mutations {
		if renamed := mutation.Action.GetPushNameSetting(); renamed != nil && renamed.GetName() != p.current().Name {
			_ = p.change(func(settings *phoneSettings) { settings.Name = renamed.GetName() })
		}
	}
}

// writeState adds to the phone's app state, on top of what others have added meanwhile.
func (p *phone) writeState(change appstate.PatchInfo) {
	const attempts = 3
	for range attempts {
		p.readState(change.Type)
		at := p.memory.versions[string(change.Type)]
		encoded, err := p.processor().EncodePatch(context.Background(), stateKeyID, appstate.HashState{Version: at.number, Hash: at.hash}, change)
		if err != nil {
			p.server.log.Error("app state cannot be written", "phone", p.number, "error", err)
			return
		}
		if p.server.addPatch(collectionKey{p.number, string(change.Type)}, at.number, encoded, address{p.number, 0}) {
			p.readState(change.Type)
			return
		}
	}
}

// rename changes the phone's own name, for companions and for those it writes to.
func (p *phone) rename(name string) error {
	if err := p.change(func(settings *phoneSettings) { settings.Name = name }); err != nil {
		return err
	}
	p.actor.post(func() { p.writeState(appstate.BuildSettingPushName(name)) })
	return nil
}

// saveContact writes an entry of the phone's address book into its app state.
func (p *phone) saveContact(number, name string) {
	who := address{number, 0}
	first, _, _ := strings.Cut(name, " ")
	p.actor.post(func() {
		p.writeState(appstate.PatchInfo{Type: appstate.WAPatchCriticalUnblockLow, Mutations: []appstate.MutationInfo{{
			Index: []string{appstate.IndexContact, who.pn().String()}, Version: 2,
			Value: &waSyncAction.SyncActionValue{ContactAction: &waSyncAction.ContactAction{
				FullName: proto.String(name), FirstName: proto.String(first), LidJID: proto.String(who.lid().String()),
			}},
		}}})
	})
}
