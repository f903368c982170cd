package sandbox

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/socket"
	"google.golang.org/protobuf/proto"
)

// noiseConn carries stanzas over a WebSocket: each in a frame of three bytes of length and a body, which is encrypted
// once the handshake has set the keys. One goroutine may read while another writes.
type noiseConn struct {
	ws                        *websocket.Conn
	pending                   []byte
	readKey, writeKey         cipher.AEAD
	readCounter, writeCounter uint32
}

// fill reads WebSocket messages until that many bytes are pending.
func (c *noiseConn) fill(ctx context.Context, count int) error {
	for len(c.pending) < count {
		kind, data, err := c.ws.Read(ctx)
		if err != nil {
			return err
		} else if kind != websocket.MessageBinary {
			return errors.New("a text message instead of a frame")
		}
		if len(c.pending) == 0 {
			c.pending = data
		} else {
			c.pending = append(c.pending, data...)
		}
	}
	return nil
}

// readHeader takes the four bytes that precede the first frame.
func (c *noiseConn) readHeader(ctx context.Context) error {
	if err := c.fill(ctx, len(socket.WAConnHeader)); err != nil {
		return err
	}
	if !bytes.HasPrefix(c.pending, socket.WAConnHeader) {
		return errors.New("not the header of this protocol")
	}
	c.pending = c.pending[len(socket.WAConnHeader):]
	return nil
}

func (c *noiseConn) readFrame(ctx context.Context) ([]byte, error) {
	if err := c.fill(ctx, socket.FrameLengthSize); err != nil {
		return nil, err
	}
	length := int(c.pending[0])<<16 | int(c.pending[1])<<8 | int(c.pending[2])
	if err := c.fill(ctx, socket.FrameLengthSize+length); err != nil {
		return nil, err
	}
	frame := c.pending[socket.FrameLengthSize : socket.FrameLengthSize+length]
	c.pending = c.pending[socket.FrameLengthSize+length:]
	return frame, nil
}

// writeFrame sends one frame in one WebSocket message: whatsmeow does not reassemble reliably across messages.
func (c *noiseConn) writeFrame(ctx context.Context, body []byte) error {
	if len(body) >= socket.FrameMaxSize {
		return fmt.Errorf("a frame of %d bytes is too large", len(body))
	}
	frame := make([]byte, socket.FrameLengthSize, socket.FrameLengthSize+len(body))
	frame[0], frame[1], frame[2] = byte(len(body)>>16), byte(len(body)>>8), byte(len(body))
	return c.ws.Write(ctx, websocket.MessageBinary, append(frame, body...))
}

func (c *noiseConn) readProto(ctx context.Context, message proto.Message) error {
	frame, err := c.readFrame(ctx)
	if err != nil {
		return err
	}
	return proto.Unmarshal(frame, message)
}

func (c *noiseConn) writeProto(ctx context.Context, message proto.Message) error {
	body, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	return c.writeFrame(ctx, body)
}

func nonce(counter uint32) []byte {
	iv := make([]byte, 12)
	binary.BigEndian.PutUint32(iv[8:], counter)
	return iv
}

// read returns the next stanza.
func (c *noiseConn) read(ctx context.Context) (*waBinary.Node, error) {
	frame, err := c.readFrame(ctx)
	if err != nil {
		return nil, err
	}
	plain, err := c.readKey.Open(nil, nonce(c.readCounter), frame, nil)
	c.readCounter++
	if err != nil || len(plain) == 0 {
		return nil, errors.New("a frame does not decrypt")
	}
	unpacked, err := waBinary.Unpack(plain)
	if err != nil {
		return nil, err
	}
	return waBinary.Unmarshal(unpacked)
}

// write sends a stanza.
func (c *noiseConn) write(ctx context.Context, node waBinary.Node) error {
	plain, err := waBinary.Marshal(node)
	if err != nil {
		return err
	}
	sealed := c.writeKey.Seal(nil, nonce(c.writeCounter), plain, nil)
	c.writeCounter++
	return c.writeFrame(ctx, sealed)
}
