package bridge

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"chatwren/engine/enginepb"
)

// The bounds of what has no bound of its own in engine.proto.
const (
	longestName    = 256      // bytes of what names something
	largestBytes   = 1 << 20  // of bytes that nothing may be missing of
	longestList    = 10_000   // items
	largestMessage = 32 << 20 // bytes on the wire; the worker takes twice that
)

// latestTime is the last moment that a time may name, in milliseconds: a year before the first that cannot be written
// with four digits, so that no zone's offset leads there.
var latestTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// textBounds are the fields of engine.proto that have the option at_most, by full name.
var textBounds = boundsIn(enginepb.File_engine_proto.Messages(), map[protoreflect.FullName]int{})

func boundsIn(messages protoreflect.MessageDescriptors, into map[protoreflect.FullName]int) map[protoreflect.FullName]int {
	for i := range messages.Len() {
		message := messages.Get(i)
		for j := range message.Fields().Len() {
			field := message.Fields().Get(j)
			if most, _ := proto.GetExtension(field.Options(), enginepb.E_AtMost).(uint32); most > 0 {
				into[field.FullName()] = int(most)
			}
		}
		boundsIn(message.Messages(), into)
	}
	return into
}

// passable returns a message as it may go out by the rules of engine.proto: itself where nothing is wrong with it, else a
// mended copy. An error says why it cannot pass.
func passable(message proto.Message) (fit proto.Message, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			fit, err = nil, fmt.Errorf("%v", problem)
		}
	}()
	look := mender{}
	if err = look.message(message.ProtoReflect()); err != nil {
		return nil, err
	}
	if look.changes {
		message = proto.Clone(message)
		if err = (&mender{writes: true}).message(message.ProtoReflect()); err != nil {
			return nil, err
		}
	}
	if size := proto.Size(message); size > largestMessage {
		return nil, fmt.Errorf("it has %d bytes", size)
	}
	return message, nil
}

// mender goes through a message. Without `writes` it only finds out whether there is something to change.
type mender struct{ writes, changes bool }

func (m *mender) message(message protoreflect.Message) (err error) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		var mended protoreflect.Value
		before := m.changes
		m.changes = false
		if field.IsList() {
			mended, err = m.list(message, field, value.List())
		} else {
			mended, err = m.value(field, value)
		}
		if m.changes && m.writes {
			message.Set(field, mended)
		}
		m.changes = m.changes || before
		return err == nil
	})
	return err
}

// list leaves out what cannot pass. A list of names of which none can is refused, since it would name something else.
func (m *mender) list(message protoreflect.Message, field protoreflect.FieldDescriptor, items protoreflect.List) (protoreflect.Value, error) {
	kept := message.NewField(field).List()
	var refused error
	for i := range min(items.Len(), longestList) {
		mended, err := m.value(field, items.Get(i))
		if err != nil {
			m.changes, refused = true, err
			continue
		}
		kept.Append(mended)
	}
	m.changes = m.changes || items.Len() > longestList
	if kept.Len() == 0 && field.Message() == nil {
		return protoreflect.Value{}, refused
	}
	return protoreflect.ValueOfList(kept), nil
}

func (m *mender) value(field protoreflect.FieldDescriptor, value protoreflect.Value) (protoreflect.Value, error) {
	most, bounded := textBounds[field.FullName()]
	switch field.Kind() {
	case protoreflect.StringKind:
		text := value.String()
		switch {
		case bounded:
			mended := readable(text, most)
			m.changes = m.changes || mended != text
			return protoreflect.ValueOfString(mended), nil
		case len(text) > longestName:
			return value, fmt.Errorf("%s has %d bytes", field.Name(), len(text))
		case !isName(text):
			return value, fmt.Errorf("%s is no UTF-8 without NUL", field.Name())
		}
	case protoreflect.BytesKind:
		size := len(value.Bytes())
		switch {
		case bounded && size > most:
			m.changes = true
			return protoreflect.ValueOfBytes(nil), nil
		case size > largestBytes:
			return value, fmt.Errorf("%s has %d bytes", field.Name(), size)
		}
	case protoreflect.Int64Kind:
		return clamped(m, value.Int(), latestTime, protoreflect.ValueOfInt64), nil
	case protoreflect.Int32Kind:
		return clamped(m, int32(value.Int()), math.MaxInt32, protoreflect.ValueOfInt32), nil
	case protoreflect.MessageKind:
		return value, m.message(value.Message())
	case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Uint64Kind:
	default:
		return value, fmt.Errorf("%s is of a kind that no rule is for", field.Name())
	}
	return value, nil
}

// isName says whether a text may stand where no bound is given: where something is called by it.
func isName(text string) bool {
	return len(text) <= longestName && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func clamped[N int32 | int64](m *mender, number, most N, value func(N) protoreflect.Value) protoreflect.Value {
	within := min(max(number, 0), most)
	m.changes = m.changes || within != number
	return value(within)
}

// readable is a text as UTF-8 without NUL, of at most so many bytes.
func readable(text string, most int) string {
	if len(text) > most+utf8.UTFMax { // a stranger's megabytes are not gone through
		text = text[:most+utf8.UTFMax]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// unreadable stands for an event that cannot be passed on as what it is.
func unreadable(event *enginepb.Event, why string) *enginepb.Event {
	kind := event.ProtoReflect().WhichOneof(event.ProtoReflect().Descriptor().Oneofs().ByName("event"))
	aside := &enginepb.Event_Unreadable{Detail: why}
	if kind != nil {
		aside.Kind = string(kind.Name())
	}
	if message := event.GetMessage(); message != nil {
		aside.Raw = message.Raw
		aside.Detail += fmt.Sprintf("; id %.100q, chat %.100q, sender %.100q", message.Id, message.Chat, message.Sender)
	} else {
		aside.Raw = []byte(prototext.Format(event))
	}
	aside.Raw = aside.Raw[:min(len(aside.Raw), largestBytes)]
	return &enginepb.Event{
		Seq: event.Seq, Account: event.Account, NeedsAck: event.NeedsAck,
		Event: &enginepb.Event_Unreadable_{Unreadable: aside},
	}
}
