package bridge

import (
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"chatwren/engine/enginepb"
)

// recipient reads the address of a contact or group.
func recipient(text string) (types.JID, error) {
	jid, err := types.ParseJID(text)
	if err != nil {
		return types.JID{}, fmt.Errorf("recipient: %w", err)
	}
	switch jid.Server {
	case types.DefaultUserServer, types.HiddenUserServer, types.GroupServer:
	default:
		return types.JID{}, fmt.Errorf("recipient: %q is neither a contact nor a group", text)
	}
	if jid.User == "" || jid.Device != 0 {
		return types.JID{}, fmt.Errorf("recipient: %q names no contact", text)
	}
	return jid, nil
}

// outbound builds the message of a request.
func outbound(text string, media *enginepb.Media) (*waE2E.Message, error) {
	if media == nil {
		if text == "" {
			return nil, errors.New("a message needs a text or media")
		}
		return &waE2E.Message{Conversation: proto.String(text)}, nil
	}
	handle := media.GetHandle()
	if len(handle.GetMediaKey()) == 0 || handle.GetDirectPath() == "" || len(handle.GetFileEncSha256()) == 0 {
		return nil, errors.New("media without the handle of an upload")
	}
	switch handle.Kind {
	case enginepb.MediaKind_IMAGE:
		return &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
			URL:           proto.String(handle.Url),
			DirectPath:    proto.String(handle.DirectPath),
			MediaKey:      handle.MediaKey,
			FileSHA256:    handle.FileSha256,
			FileEncSHA256: handle.FileEncSha256,
			FileLength:    proto.Uint64(uint64(handle.FileLength)),
			Mimetype:      proto.String(media.Mimetype),
			Caption:       optional(text),
			Width:         proto.Uint32(uint32(media.Width)),
			Height:        proto.Uint32(uint32(media.Height)),
			JPEGThumbnail: media.ThumbnailJpeg,
		}}, nil
	case enginepb.MediaKind_VIDEO:
		return &waE2E.Message{VideoMessage: &waE2E.VideoMessage{
			URL:           proto.String(handle.Url),
			DirectPath:    proto.String(handle.DirectPath),
			MediaKey:      handle.MediaKey,
			FileSHA256:    handle.FileSha256,
			FileEncSHA256: handle.FileEncSha256,
			FileLength:    proto.Uint64(uint64(handle.FileLength)),
			Mimetype:      proto.String(media.Mimetype),
			Caption:       optional(text),
			Width:         proto.Uint32(uint32(media.Width)),
			Height:        proto.Uint32(uint32(media.Height)),
			Seconds:       proto.Uint32(uint32(media.Seconds)),
			JPEGThumbnail: media.ThumbnailJpeg,
		}}, nil
	case enginepb.MediaKind_AUDIO:
		if text != "" {
			return nil, errors.New("audio carries no caption")
		}
		return &waE2E.Message{AudioMessage: &waE2E.AudioMessage{
			URL:           proto.String(handle.Url),
			DirectPath:    proto.String(handle.DirectPath),
			MediaKey:      handle.MediaKey,
			FileSHA256:    handle.FileSha256,
			FileEncSHA256: handle.FileEncSha256,
			FileLength:    proto.Uint64(uint64(handle.FileLength)),
			Mimetype:      proto.String(media.Mimetype),
			Seconds:       proto.Uint32(uint32(media.Seconds)),
		}}, nil
	case enginepb.MediaKind_DOCUMENT:
		return documentMessage(text, media), nil
	}
	return nil, fmt.Errorf("unknown kind of media: %d", handle.Kind)
}

// documentMessage wraps a document with a caption as the official clients do: older ones show only the document then.
func documentMessage(text string, media *enginepb.Media) *waE2E.Message {
	handle := media.Handle
	document := &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{
		URL:           proto.String(handle.Url),
		DirectPath:    proto.String(handle.DirectPath),
		MediaKey:      handle.MediaKey,
		FileSHA256:    handle.FileSha256,
		FileEncSHA256: handle.FileEncSha256,
		FileLength:    proto.Uint64(uint64(handle.FileLength)),
		Mimetype:      proto.String(media.Mimetype),
		Title:         optional(media.FileName),
		FileName:      optional(media.FileName),
		Caption:       optional(text),
		JPEGThumbnail: media.ThumbnailJpeg,
	}}
	if text == "" {
		return document
	}
	return &waE2E.Message{DocumentWithCaptionMessage: &waE2E.FutureProofMessage{Message: document}}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return proto.String(text)
}
