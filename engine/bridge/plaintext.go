package bridge

import (
	"bytes"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waLidMigrationSyncPayload"
	"go.mau.fi/whatsmeow/proto/waMsgTransport"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// mostFields a message may have, those within its fields and the elements of lists included, and those of messages that it
// holds in bytes. Two bytes that a stranger sends
// make a message in a list, which takes a hundred in memory: 14 MB were 3 GB in the process of all accounts. The longest
// honest ones, lists of contacts or products, have some thousands.
const mostFields = 50_000

// Why a plaintext is refused before whatsmeow decodes it, which counts as a message that could not be decrypted.
var (
	errHeavy   = errors.New("it has too many fields")
	errKeys    = errors.New("too many keys of settings came in a minute")
	errUnpacks = errors.New("it holds settings of the phone that were not asked for")
)

// mostKeys that a linked phone may share in a minute. whatsmeow stores each share beside all others and acknowledges it at
// once, so nothing else would keep a phone from filling the memory.
const mostKeys = 1000

// allowance counts what came within a time. To be used by one goroutine at a time.
type allowance struct {
	most   int
	within time.Duration
	since  time.Time
	used   int
}

// grant says how many of so many may come.
func (a *allowance) grant(wanted int, now time.Time) int {
	if now.Sub(a.since) > a.within {
		a.since, a.used = now, 0
	}
	granted := min(wanted, a.most-a.used)
	a.used += granted
	return granted
}

var (
	messageKind = kindOf(&waE2E.Message{})
	// What whatsmeow reads a plaintext as where its stanza says so, and what it holds in bytes: messages of many kinds.
	transportKind = kindOf(&waMsgTransport.MessageTransport{})
	withinKind    = kindOf(&waCommon.SubProtocol{}).FullName()
	// What whatsmeow decodes of a message's bytes once more, by the field's name.
	heldKinds = map[protoreflect.FullName]protoreflect.MessageDescriptor{
		kindOf(&waE2E.LIDMigrationMappingSyncMessage{}).FullName() + ".encodedMappingPayload": kindOf(
			&waLidMigrationSyncPayload.LIDMigrationMappingSyncPayload{}),
		kindOf(&waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_PlaceholderMessageResendResponse{}).FullName() +
			".webMessageInfoBytes": kindOf(&waWeb.WebMessageInfo{}),
	}
)

func kindOf(message proto.Message) protoreflect.MessageDescriptor {
	return message.ProtoReflect().Descriptor()
}

// messageOf is what whatsmeow reads a plaintext as, which ends with n times the byte n; nil where it cannot. An error: to
// decode it would take memory that belongs to all accounts.
func messageOf(plaintext []byte) (*waE2E.Message, error) {
	if len(plaintext) == 0 {
		return nil, nil
	}
	if !light(plaintext, transportKind) {
		return nil, errHeavy
	}
	last := plaintext[len(plaintext)-1]
	unpadded, padded := bytes.CutSuffix(plaintext, bytes.Repeat([]byte{last}, int(last)))
	if !padded {
		return nil, nil
	}
	if !light(unpadded, messageKind) {
		return nil, errHeavy
	}
	message := &waE2E.Message{}
	if proto.Unmarshal(unpadded, message) != nil {
		return nil, nil
	}
	// whatsmeow would unpack a snapshot of the phone's settings, whatever it grows to: 16 MB of a linked phone's become 16 GB.
	// This engine never asks for one.
	if told(message).GetPeerDataOperationRequestResponseMessage().GetPeerDataOperationRequestType() ==
		waE2E.PeerDataOperationRequestType_COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY {
		return nil, errUnpacks
	}
	return message, nil
}

// told is what WhatsApp's own programs tell each other, in a message or in a copy of one that the phone has sent.
func told(message *waE2E.Message) *waE2E.ProtocolMessage {
	if sent := message.GetDeviceSentMessage().GetMessage(); sent != nil {
		message = sent
	}
	return message.GetProtocolMessage()
}

// light says whether an encoded message has few enough fields to be decoded, and so all that it holds. What cannot be followed is the decoder's
// to refuse.
func light(encoded []byte, kind protoreflect.MessageDescriptor) bool {
	left := mostFields
	return weigh(encoded, kind, &left)
}

func weigh(encoded []byte, kind protoreflect.MessageDescriptor, left *int) bool {
	for len(encoded) > 0 {
		number, wire, size := protowire.ConsumeField(encoded)
		if size < 0 {
			return true
		}
		field := encoded[:size]
		encoded = encoded[size:]
		known := kind.Fields().ByNumber(number)
		if known == nil {
			continue // it is kept as it came
		}
		if *left--; *left < 0 {
			return false
		}
		if wire != protowire.BytesType {
			continue
		}
		_, _, tag := protowire.ConsumeTag(field)
		value, _ := protowire.ConsumeBytes(field[tag:])
		held := known.Message()
		if held == nil {
			held = heldKinds[known.FullName()]
		}
		switch {
		case held != nil:
			if !weigh(value, held, left) {
				return false
			}
		case kind.FullName() == withinKind:
			if len(value) > largestBytes || !weighAnything(value, left) {
				return false
			}
		case known.IsList() && known.Kind() != protoreflect.StringKind && known.Kind() != protoreflect.BytesKind:
			*left -= len(value) // packed: at most so many
		}
	}
	return *left >= 0
}

// weighAnything takes every value that may hold fields as holding them.
func weighAnything(encoded []byte, left *int) bool {
	for len(encoded) > 0 {
		_, wire, size := protowire.ConsumeField(encoded)
		if size < 0 {
			return true
		}
		if *left--; *left < 0 {
			return false
		}
		if wire == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(encoded)
			value, _ := protowire.ConsumeBytes(encoded[tag:])
			if !weighAnything(value, left) {
				return false
			}
		}
		encoded = encoded[size:]
	}
	return true
}
