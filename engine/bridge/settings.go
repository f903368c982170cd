package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"chatwren/engine/enginepb"
)

// settingsUsed are the collections of a phone's settings that are fetched, and settingsRead what is read of them: the own
// name, and the salt with which whatsmeow writes to strangers. The address book, what is muted, pinned, starred or deleted
// is nobody's business here.
var (
	settingsUsed = []appstate.WAPatchName{appstate.WAPatchCriticalBlock, appstate.WAPatchRegularHigh}
	settingsRead = []string{appstate.IndexSettingPushName, appstate.IndexNCTSaltSync}
)

// The bounds of fetching settings. One of them, set or removed, has about 9 fields.
const (
	settingsTime   = time.Minute     // for a fetch, after which the next goes on where it ended
	settingsPlaces = 4               // fetches at a time, of all accounts: each may take about 100 MB
	mostSettings   = 10 * mostFields // fields of an answer, or of a snapshot; a change of many settings has mostFields
	keysPause      = 24 * time.Hour  // between requests for keys
	keysTime       = 5 * time.Second // for one
	keysAsked      = 10
)

var (
	errSettings  = errors.New("the account fetches its settings itself")
	errNoKey     = errors.New("the phone has shared no key yet")
	patchKind    = kindOf(&waServerSync.SyncdPatch{})
	snapshotKind = kindOf(&waServerSync.SyncdSnapshot{})
	changesKind  = kindOf(&waServerSync.SyncdMutations{})
)

// unfetched keeps whatsmeow from fetching settings, which it begins with asking for their version: it decodes what a
// linked phone has uploaded before it checks who wrote it, with slices that a short value does not have, in goroutines whose
// panic ends the process of all accounts.
type unfetched struct {
	store.AppStateStore
	wanted func(name string)
}

func (u unfetched) GetAppStateVersion(_ context.Context, name string) (version uint64, hash [128]byte, err error) {
	u.wanted(name)
	return 0, hash, errSettings
}

// settings are what an account is to fetch.
type settings struct {
	mu     sync.Mutex
	wanted []appstate.WAPatchName // each once
	busy   bool                   // a goroutine fetches
	naming sync.Mutex             // held while the own name changes, and while it is told of a connection

	// of that goroutine
	missing [][]byte  // keys that the last fetch has wanted
	asked   time.Time // for keys
}

// catchUp fetches what the phone has set while no connection lasted until it was fetched: WhatsApp tells of a change once,
// and that is acknowledged before the change is here. Before the phone has shared a key there is nothing that can be read.
func (a *account) catchUp() {
	key, err := a.client.Store.AppStateKeys.GetLatestAppStateSyncKeyID(a.ctx)
	if err != nil {
		a.log.Warn("settings of the phone are not fetched", "error", err.Error())
	}
	if key != nil {
		for _, name := range settingsUsed {
			a.fetchSettings(string(name))
		}
	}
}

// fetchSettings has a collection of settings fetched in the background, once more if that is being done. What fails, with
// its connection or in any other way, is fetched at the next connection.
func (a *account) fetchSettings(name string) {
	collection := appstate.WAPatchName(name)
	s := &a.settings
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(settingsUsed, collection) || slices.Contains(s.wanted, collection) || a.ctx.Err() != nil {
		return
	}
	s.wanted = append(s.wanted, collection)
	if s.busy {
		return
	}
	s.busy = true
	a.engine.work.Go(func() {
		for name, more := s.next(); more; name, more = s.next() {
			switch err := a.takeSettings(name); {
			case err == nil || a.ctx.Err() != nil:
			case errors.Is(err, errNoKey): // it has been linked just now, and is told of settings before their key has come
				a.log.Info("settings of the phone wait for its key", "collection", string(name))
			default:
				a.log.Warn("settings of the phone cannot be read", "collection", string(name), "error", err.Error())
			}
		}
	})
}

func (s *settings) next() (name appstate.WAPatchName, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy = len(s.wanted) > 0; !s.busy {
		return "", false
	}
	name, s.wanted = s.wanted[0], s.wanted[1:]
	return name, true
}

// takeSettings fetches what is new in a collection, and then asks the phone for the keys that it lacks: in no place, since
// that waits for the account's own messages. What makes whatsmeow panic is an error.
func (a *account) takeSettings(name appstate.WAPatchName) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	a.settings.missing = nil
	err = a.takeInPlace(name)
	if missing := a.settings.missing; len(missing) > 0 && time.Since(a.settings.asked) > keysPause {
		a.askForKeys(missing[:min(len(missing), keysAsked)])
	}
	return err
}

// takeInPlace fetches what is new in a collection, when there is a place.
func (a *account) takeInPlace(name appstate.WAPatchName) error {
	select {
	case a.engine.settingsPlaces <- struct{}{}:
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
	defer func() { <-a.engine.settingsPlaces }()
	ctx, cancel := context.WithTimeout(a.ctx, settingsTime)
	defer cancel()
	version, hash, err := a.client.Store.AppState.(unfetched).AppStateStore.GetAppStateVersion(ctx, string(name))
	if err != nil {
		return err
	}
	key, err := a.client.Store.AppStateKeys.GetLatestAppStateSyncKeyID(ctx)
	if err != nil {
		return err
	}
	at := appstate.HashState{Version: version, Hash: hash}
	before := a.client.Store.PushName
	for snapshot, more := version == 0, true; more; snapshot = false {
		if at, more, err = a.takeSettingsSince(ctx, name, at, snapshot); err != nil {
			if key == nil && errors.Is(err, appstate.ErrKeyNotFound) {
				return errNoKey
			}
			return err
		}
	}
	// The first fetch brings the name even where it is known.
	if now := a.client.Store.PushName; name == appstate.WAPatchCriticalBlock && now != "" && (now != before || version == 0) && a.active.Load() {
		a.engine.hub.post(&enginepb.Event{
			Account: a.id, NeedsAck: true, Event: &enginepb.Event_PushName_{PushName: &enginepb.Event_PushName{Name: now}},
		})
	}
	return nil
}

// takeSettingsSince takes in an answer of WhatsApp's: the next changes, or a snapshot that it may begin with.
func (a *account) takeSettingsSince(
	ctx context.Context, name appstate.WAPatchName, at appstate.HashState, snapshot bool,
) (now appstate.HashState, more bool, err error) {
	list, err := a.askSettings(ctx, name, at.Version, snapshot)
	if err != nil {
		return at, false, err
	}
	if list.Name != name || list.Snapshot != nil && !snapshot {
		return at, false, errors.New("WhatsApp has answered what was not asked")
	}
	decoder := appstate.NewProcessor(a.client.Store, a.client.Log)
	mutations, now, err := decoder.DecodePatches(ctx, list, at, true)
	if errors.Is(err, appstate.ErrKeyNotFound) {
		a.settings.missing = decoder.GetMissingKeyIDs(ctx, list)
	}
	if err != nil {
		return at, false, err
	}
	for _, mutation := range mutations {
		if len(mutation.Index) == 1 && slices.Contains(settingsRead, mutation.Index[0]) {
			a.applySetting(ctx, name, mutation, snapshot)
		}
	}
	return now, list.HasMorePatches, nil
}

// askForKeys asks the phone for keys. While whatsmeow waits for WhatsApp's ack it sends nothing else, so that this has its
// turn among the messages, and not for long. Without a connection nothing is asked: the next one does.
func (a *account) askForKeys(ids [][]byte) {
	select {
	case a.turn <- struct{}{}:
	case <-a.ctx.Done():
		return
	}
	defer func() { <-a.turn }()
	if !a.ready() {
		return
	}
	a.settings.asked = time.Now()
	ctx, cancel := context.WithTimeout(a.ctx, keysTime)
	defer cancel()
	a.client.DangerousInternals().RequestAppStateKeys(ctx, ids)
}

func (a *account) applySetting(ctx context.Context, name appstate.WAPatchName, mutation appstate.Mutation, snapshot bool) {
	a.settings.naming.Lock()
	defer a.settings.naming.Unlock()
	a.client.DangerousInternals().DispatchAppState(ctx, name, mutation, snapshot)
}

// askSettings asks WhatsApp for what is new in a collection, and decodes it if it is light enough.
func (a *account) askSettings(ctx context.Context, name appstate.WAPatchName, since uint64, snapshot bool) (*appstate.PatchList, error) {
	attrs := waBinary.Attrs{"name": string(name), "return_snapshot": snapshot}
	if !snapshot {
		attrs["version"] = since
	}
	answer, err := a.client.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{
		Namespace: "w:sync:app:state", Type: "set", To: types.ServerJID,
		NoRetry: true, // the next connection asks anew
		Content: []waBinary.Node{{Tag: "sync", Content: []waBinary.Node{{Tag: "collection", Attrs: attrs}}}},
	})
	if err != nil {
		return nil, err
	}
	collection, found := answer.GetOptionalChildByTag("sync", "collection")
	if !found {
		return nil, errors.New("WhatsApp has answered without the collection")
	}
	left := mostSettings
	patches := collection.GetChildByTag("patches")
	for _, patch := range patches.GetChildren() {
		if raw, _ := patch.Content.([]byte); !light(raw, patchKind) || !weigh(raw, patchKind, &left) {
			return nil, errHeavy
		}
	}
	return appstate.ParsePatchList(ctx, &collection, func(ctx context.Context, blob *waServerSync.ExternalBlobReference) ([]byte, error) {
		raw, err := a.client.DangerousInternals().DownloadExternalAppStateBlob(ctx, blob)
		// It holds a snapshot or changes: as what it is not, it weighs next to nothing.
		if err == nil && (!light(raw, changesKind) || !weigh(raw, snapshotKind, &left)) {
			err = errHeavy
		}
		return raw, err
	})
}
