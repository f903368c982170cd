package bridge

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"chatwren/engine/enginepb"
)

// hostileValues are what strangers put into a field of a kind.
func hostileValues(kind protoreflect.Kind) (values []protoreflect.Value) {
	switch kind {
	case protoreflect.StringKind:
		for _, text := range []string{
			"\xff", "a\x00b", strings.Repeat("h", 100_000), strings.Repeat("\xff", 100_000), strings.Repeat("é", 140_000), "\xed\xa0\x80", "\x00", "ok",
		} {
			values = append(values, protoreflect.ValueOfString(text))
		}
	case protoreflect.BytesKind:
		for _, size := range []int{0, 1, 100_000, largestBytes + 1} {
			values = append(values, protoreflect.ValueOfBytes([]byte(strings.Repeat("\xff", size))))
		}
	case protoreflect.Int64Kind:
		for _, number := range []int64{math.MinInt64, -1, 0, 1, 99999999999999000, math.MaxInt64} {
			values = append(values, protoreflect.ValueOfInt64(number))
		}
	case protoreflect.Int32Kind:
		for _, number := range []int32{math.MinInt32, -1, 0, 1, math.MaxInt32} {
			values = append(values, protoreflect.ValueOfInt32(number))
		}
	case protoreflect.EnumKind:
		values = append(values, protoreflect.ValueOfEnum(-1), protoreflect.ValueOfEnum(99))
	case protoreflect.BoolKind:
		values = append(values, protoreflect.ValueOfBool(true))
	case protoreflect.Uint64Kind:
		values = append(values, protoreflect.ValueOfUint64(math.MaxUint64))
	}
	return values
}

// fill gives every field of a message its n-th hostile value; of a oneof one, by `branch`. Without `all`, what an item
// cannot pass with is in order.
func fill(t *testing.T, message protoreflect.Message, n, branch int, all bool) {
	t.Helper()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if oneof := field.ContainingOneof(); oneof != nil && oneof.Fields().Get(branch%oneof.Fields().Len()) != field {
			continue
		}
		value := func() protoreflect.Value {
			if field.Message() != nil {
				inner := message.NewField(field)
				if field.IsList() {
					inner = inner.List().NewElement()
				}
				fill(t, inner.Message(), n, branch, all)
				return inner
			}
			if _, text := textBounds[field.FullName()]; !text && !all {
				switch field.Kind() {
				case protoreflect.StringKind:
					return protoreflect.ValueOfString("ours")
				case protoreflect.BytesKind:
					return protoreflect.ValueOfBytes([]byte{0xff})
				}
			}
			values := hostileValues(field.Kind())
			if len(values) == 0 {
				t.Fatalf("%s is of a kind that nobody has thought of: %s", field.FullName(), field.Kind())
			}
			return values[n%len(values)]
		}
		switch {
		case field.IsMap():
			t.Fatalf("%s is a map, which has no rule", field.FullName())
		case field.IsList():
			list := message.NewField(field).List()
			for range 3 {
				list.Append(value())
			}
			message.Set(field, protoreflect.ValueOfList(list))
		default:
			message.Set(field, value())
		}
	}
}

// check fails where a message is not what engine.proto promises.
func check(t *testing.T, message protoreflect.Message) {
	t.Helper()
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		most, text := textBounds[field.FullName()]
		one := func(value protoreflect.Value) {
			t.Helper()
			switch held := value.Interface().(type) {
			case protoreflect.Message:
				check(t, held)
			case string:
				if !text {
					most = longestName
				}
				if len(held) > most || !utf8.ValidString(held) || strings.Contains(held, "\x00") {
					t.Errorf("%s passed with %d bytes: %.40q", field.FullName(), len(held), held)
				}
			case []byte:
				if !text {
					most = largestBytes
				}
				if len(held) > most {
					t.Errorf("%s passed with %d bytes", field.FullName(), len(held))
				}
			case int64:
				if held < 0 || held > latestTime {
					t.Errorf("%s passed as %d", field.FullName(), held)
				}
			case int32:
				if held < 0 {
					t.Errorf("%s passed as %d", field.FullName(), held)
				}
			}
		}
		if !field.IsList() {
			one(value)
			return true
		}
		if value.List().Len() > longestList {
			t.Errorf("%s passed with %d items", field.FullName(), value.List().Len())
		}
		for i := range value.List().Len() {
			one(value.List().Get(i))
		}
		return true
	})
}

// TestWhateverGoesOutKeepsThePromise takes the messages from the descriptors of engine.proto: a field that is added to it
// is tried too, and a kind of field that no rule is for fails here.
func TestWhateverGoesOutKeepsThePromise(t *testing.T) {
	t.Parallel()
	methods := enginepb.File_engine_proto.Services().ByName("Engine").Methods()
	for i := range methods.Len() {
		answer := methods.Get(i).Output()
		for n := range 8 {
			for branch := range 7 {
				tryToPass(t, answer, n, branch, true)
				if !tryToPass(t, answer, n, branch, false) {
					t.Errorf("%s cannot pass with texts and numbers of any kind (%d, %d)", answer.Name(), n, branch)
				}
			}
		}
	}
}

func tryToPass(t *testing.T, answer protoreflect.MessageDescriptor, n, branch int, all bool) (passed bool) {
	t.Helper()
	message := dynamicpb.NewMessage(answer)
	fill(t, message, n, branch, all)
	fit, err := passable(message)
	if err != nil && answer.Name() == "Event" {
		event := asEvent(message)
		event.Account = "ours"
		if fit, err = passable(unreadable(event, err.Error())); err != nil {
			t.Errorf("not even the unreadable event passes: %v", err)
		}
	}
	if err != nil {
		return false
	}
	wire, err := proto.Marshal(fit)
	if err != nil {
		t.Errorf("%s does not marshal: %v", answer.Name(), err)
	}
	arrived := dynamicpb.NewMessage(answer)
	if err := proto.Unmarshal(wire, arrived); err != nil {
		t.Errorf("%s does not arrive: %v", answer.Name(), err)
	}
	check(t, arrived)
	return true
}

// asEvent turns a message of the descriptor's into the generated type, whose strings nobody checks on the way.
func asEvent(message *dynamicpb.Message) *enginepb.Event {
	event := &enginepb.Event{}
	copyFields(message, event.ProtoReflect())
	return event
}

func copyFields(from, to protoreflect.Message) {
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target := to.Descriptor().Fields().ByNumber(field.Number())
		switch {
		case field.IsList() && field.Message() == nil:
			list := to.Mutable(target).List()
			for i := range value.List().Len() {
				list.Append(value.List().Get(i))
			}
		case field.Message() != nil:
			copyFields(value.Message(), to.Mutable(target).Message())
		default:
			to.Set(target, value)
		}
		return true
	})
}

func TestWhatIsInOrderIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	event := messageEvent(func(m *enginepb.Event_Message) {})
	fit, err := passable(event)
	if err != nil || fit != proto.Message(event) {
		t.Errorf("it became %v, %v", fit, err)
	}
}

func messageEvent(change func(*enginepb.Event_Message)) *enginepb.Event {
	message := &enginepb.Event_Message{
		Id: "3EB0", Chat: "1@lid", Sender: "1@lid", Text: "Grüße 🙏", At: 1_700_000_000_000, Raw: []byte{0xff, 0},
		Media: &enginepb.Media{Width: 640, Handle: &enginepb.MediaHandle{MediaKey: make([]byte, 32)}},
	}
	change(message)
	return &enginepb.Event{Seq: 7, Account: "a", NeedsAck: true, Event: &enginepb.Event_Message_{Message: message}}
}

func TestATextIsMendedAndANameIsNot(t *testing.T) {
	t.Parallel()
	original := messageEvent(func(m *enginepb.Event_Message) {
		m.Text, m.PushName, m.At = "hi \xff\x00\xed\xa0\x80!", strings.Repeat("🙏", 200), math.MaxInt64
		m.Media.Width, m.Media.Handle.MediaKey = -1, make([]byte, 300)
	})
	fit, err := passable(original)
	if err != nil {
		t.Fatal(err)
	}
	got := fit.(*enginepb.Event).GetMessage()
	if got.Text != "hi \uFFFD\uFFFD\uFFFD!" || got.PushName != strings.Repeat("🙏", 128) || got.At != latestTime ||
		got.Media.Width != 0 || len(got.Media.Handle.MediaKey) != 0 || got.Id != "3EB0" || string(got.Raw) != "\xff\x00" {
		t.Errorf("it became %v", got)
	}
	if original.GetMessage().At != math.MaxInt64 || !strings.Contains(original.GetMessage().Text, "\xff") {
		t.Error("the original was changed, which another stream may be sending")
	}
	for _, id := range []string{"\xff", "a\x00", strings.Repeat("i", 3000)} {
		event := messageEvent(func(m *enginepb.Event_Message) { m.Id = id })
		if _, err := passable(event); err == nil {
			t.Errorf("the id %.10q passed", id)
			continue
		}
		aside := unreadable(event, "why").GetUnreadable()
		if aside.Kind != "message" || string(aside.Raw) != "\xff\x00" || !strings.HasPrefix(aside.Detail, "why; id ") {
			t.Errorf("it is put aside as %v", aside)
		}
	}
}

func TestWhatCannotPassIsLeftOutOfAList(t *testing.T) {
	t.Parallel()
	groups := &enginepb.GroupsResponse{Groups: []*enginepb.Group{
		{Jid: "1@g.us", Name: "a\x00c"},
		{Jid: "\xff", Name: "left out"},
		{Jid: "2@g.us", Name: "b", Participants: []*enginepb.Group_Participant{{Phone: "\x00"}, {Phone: "49"}}},
	}}
	fit, err := passable(groups)
	if err != nil {
		t.Fatal(err)
	}
	got := fit.(*enginepb.GroupsResponse).Groups
	if len(got) != 2 || got[0].Name != "a\uFFFDc" || len(got[1].Participants) != 1 || got[1].Participants[0].Phone != "49" {
		t.Errorf("groups: %v", got)
	}
	receipt := &enginepb.Event_Receipt{Ids: []string{"\xff", "A", strings.Repeat("x", 300)}}
	if fit, err = passable(receipt); err != nil || len(fit.(*enginepb.Event_Receipt).Ids) != 1 {
		t.Errorf("ids: %v, %v", fit, err)
	}
	if fit, err = passable(&enginepb.Event_Receipt{Ids: []string{"\xff"}}); err == nil {
		t.Errorf("a receipt for nothing passed: %v", fit)
	}
	if fit, err = passable(&enginepb.Event_Receipt{Ids: make([]string, longestList+1)}); err != nil || len(fit.(*enginepb.Event_Receipt).Ids) != longestList {
		t.Errorf("a long list: %v", err)
	}
}

func TestAMessageThatIsTooLargeDoesNotPass(t *testing.T) {
	t.Parallel()
	members := make([]*enginepb.Group_Participant, longestList)
	for i := range members {
		members[i] = &enginepb.Group_Participant{Phone: strings.Repeat("1", 200), Lid: strings.Repeat("2", 200)}
	}
	groups := &enginepb.GroupsResponse{}
	for range 10 {
		groups.Groups = append(groups.Groups, &enginepb.Group{Jid: "1@g.us", Participants: members})
	}
	if _, err := passable(groups); err == nil {
		t.Errorf("%d bytes passed", proto.Size(groups))
	}
}
