package bridge

import (
	"context"
	"slices"

	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// The bounds of what others can have whatsmeow store for an account: here in bytes, in clean.go in rows and age. What
// they are for each of its tables, docs/operations.md lists.
const (
	longestToken   = 1024      // bytes of a token, a salt or a key; WhatsApp's have up to 128
	largestSession = 256 << 10 // bytes of a session with what it was before; of itself it has up to 1 MB
)

// bind puts the bounds around a device's stores.
func bind(device *store.Device) {
	device.Contacts = boundedContacts{device.Contacts}
	device.MsgSecrets = noSecrets{}
	device.PrivacyTokens = boundedTokens{device.PrivacyTokens}
	device.NCTSalt = boundedSalt{device.NCTSalt}
	device.AppStateKeys = boundedKeys{device.AppStateKeys}
}

// boundedContacts keeps names as they may pass the boundary.
type boundedContacts struct{ store.ContactStore }

func (b boundedContacts) PutPushName(ctx context.Context, user types.JID, name string) (bool, string, error) {
	return b.ContactStore.PutPushName(ctx, user, readable(name, longestName))
}

func (b boundedContacts) PutBusinessName(ctx context.Context, user types.JID, name string) (bool, string, error) {
	return b.ContactStore.PutBusinessName(ctx, user, readable(name, longestName))
}

func (b boundedContacts) PutContactName(ctx context.Context, user types.JID, first, full string) error {
	return b.ContactStore.PutContactName(ctx, user, readable(first, longestName), readable(full, longestName))
}

func (b boundedContacts) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	contacts = slices.Clone(contacts)
	for i := range contacts {
		contacts[i].FirstName = readable(contacts[i].FirstName, longestName)
		contacts[i].FullName = readable(contacts[i].FullName, longestName)
	}
	return b.ContactStore.PutAllContactNames(ctx, contacts)
}

func (b boundedContacts) PutManyRedactedPhones(ctx context.Context, entries []store.RedactedPhoneEntry) error {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].RedactedPhone = readable(entries[i].RedactedPhone, longestName)
	}
	return b.ContactStore.PutManyRedactedPhones(ctx, entries)
}

// noSecrets keeps no message's secret. They are for reading votes, and reactions and comments in announcement groups, none
// of which is passed on; and every message brings one, of as many bytes as its sender likes.
type noSecrets struct{}

func (noSecrets) PutMessageSecrets(context.Context, []store.MessageSecretInsert) error { return nil }

func (noSecrets) PutMessageSecret(context.Context, types.JID, types.JID, types.MessageID, []byte) error {
	return nil
}

func (noSecrets) GetMessageSecret(context.Context, types.JID, types.JID, types.MessageID) ([]byte, types.JID, error) {
	return nil, types.EmptyJID, nil
}

// boundedTokens, boundedSalt and boundedKeys keep nothing of what is larger than WhatsApp makes it, or not whole.
type (
	boundedTokens struct{ store.PrivacyTokenStore }
	boundedSalt   struct{ store.NCTSaltStore }
	boundedKeys   struct{ store.AppStateSyncKeyStore }
)

func (b boundedTokens) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	tokens = slices.DeleteFunc(slices.Clone(tokens), func(token store.PrivacyToken) bool { return len(token.Token) > longestToken })
	if len(tokens) == 0 {
		return nil
	}
	return b.PrivacyTokenStore.PutPrivacyTokens(ctx, tokens...)
}

func (b boundedSalt) PutNCTSalt(ctx context.Context, salt []byte) error {
	if len(salt) > longestToken {
		return nil
	}
	return b.NCTSaltStore.PutNCTSalt(ctx, salt)
}

func (b boundedKeys) PutAppStateSyncKey(ctx context.Context, id []byte, key store.AppStateSyncKey) error {
	if max(len(id), len(key.Data), len(key.Fingerprint)) > longestToken || id == nil || key.Data == nil || key.Fingerprint == nil {
		return nil
	}
	return b.AppStateSyncKeyStore.PutAppStateSyncKey(ctx, id, key)
}

// boundedSession is a session that, where it has grown large, has forgotten what it was before: whoever writes with it has
// it replaced, and its messages skipped, as often as they like.
func boundedSession(session []byte) []byte {
	if len(session) <= largestSession {
		return session
	}
	serializer := store.SignalProtobufSerializer
	whole, err := record.NewSessionFromBytes(session, serializer.Session, serializer.State)
	if err != nil {
		return session // whatsmeow has made it just now
	}
	return record.NewSessionFromState(whole.SessionState(), serializer.Session).Serialize()
}
