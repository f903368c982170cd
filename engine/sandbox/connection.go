package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types"
)

const (
	handshakeTimeout = 20 * time.Second
	writeTimeout     = 30 * time.Second
	// maxUnsent is how many stanzas wait for a client that does not read before its connection is cut.
	maxUnsent = 50_000
	// failureLinger is how long a connection stays open after <failure>, so that the client reads the reason.
	failureLinger = 1500 * time.Millisecond
)

// connection is one client's socket, from its handshake to its end.
type connection struct {
	server *Server
	noise  *noiseConn
	cancel context.CancelFunc

	// pairing is set for a client that wants to be linked, companion for one that has logged in. Both are set before
	// the connection reads its first stanza and never change.
	pairing   *pairing
	companion address

	mu     sync.Mutex
	unsent []waBinary.Node
	wake   chan struct{}
}

// serveSocket accepts a client's WebSocket.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if s.faults.away("") {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the Origin is web.whatsapp.com, whatever the address
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.log.Debug("no websocket", "error", err)
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(socket.FrameMaxSize)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()

	shaking, done := context.WithTimeout(ctx, handshakeTimeout)
	noise, static, payload, err := s.identity.accept(shaking, ws)
	done()
	if err != nil {
		s.log.Info("handshake failed", "error", err)
		return
	}
	c := &connection{server: s, noise: noise, cancel: cancel, wake: make(chan struct{}, 1)}
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		c.writeLoop(ctx)
	}()
	defer func() {
		cancel()
		<-writer
	}()
	if data := payload.GetDevicePairingData(); data != nil {
		if refusal := s.faults.onLogin(""); refusal != nil {
			c.fail(ctx, *refusal)
			return
		}
		if err = s.startPairing(ctx, c, static, data); err != nil {
			s.log.Info("registration refused", "error", err)
			c.fail(ctx, failure{reason: 400})
			return
		}
		defer s.endPairing(c)
	} else {
		who := address{strconv.FormatUint(payload.GetUsername(), 10), uint16(payload.GetDevice())}
		if s.faults.away(who.number) {
			return
		}
		if refusal := s.login(c, who, static); refusal != nil {
			s.log.Info("login refused", "companion", who, "reason", refusal.reason)
			c.fail(ctx, *refusal)
			return
		}
		defer s.logout(c)
	}
	c.readLoop(ctx)
}

// send queues a stanza for the client. It never blocks.
func (c *connection) send(node waBinary.Node) {
	c.mu.Lock()
	c.unsent = append(c.unsent, node)
	flooded := len(c.unsent) > maxUnsent
	c.mu.Unlock()
	if flooded {
		c.server.log.Warn("a client does not read, its connection is cut", "companion", c.companion)
		c.cancel()
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *connection) writeLoop(ctx context.Context) {
	defer c.cancel()
	for {
		c.mu.Lock()
		batch := c.unsent
		c.unsent = nil
		c.mu.Unlock()
		for _, node := range batch {
			writing, done := context.WithTimeout(ctx, writeTimeout)
			err := c.noise.write(writing, node)
			done()
			if err != nil {
				return
			}
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
	}
}

func (c *connection) readLoop(ctx context.Context) {
	for {
		node, err := c.noise.read(ctx)
		if err != nil {
			if status := websocket.CloseStatus(err); status == -1 && ctx.Err() == nil && !errors.Is(err, io.EOF) {
				c.server.log.Debug("connection lost", "companion", c.companion, "error", err)
			}
			return
		}
		c.server.stats.received.Add(1)
		c.handle(ctx, node)
	}
}

// handle serves one stanza of the client.
func (c *connection) handle(ctx context.Context, node *waBinary.Node) {
	if c.pairing != nil {
		c.handlePairing(node)
		return
	}
	switch node.Tag {
	case "iq":
		c.handleIQ(node)
	case "message":
		c.handleMessage(node)
	case "receipt":
		c.handleReceipt(node)
	case "ack":
		c.server.acknowledged(c.companion, queueKey(stringAttr(node, "class"), stringAttr(node, "id"),
			node.Attrs["to"], node.Attrs["participant"], stringAttr(node, "type")))
	case "presence":
		c.handlePresence(node)
	case "chatstate":
		c.handleChatState(node)
	case "ib": // reports of the client about itself
	default:
		c.server.log.Debug("stanza not known", "tag", node.Tag)
	}
}

// reply answers an IQ with a result.
func (c *connection) reply(request *waBinary.Node, children ...waBinary.Node) {
	node := waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"id": stringAttr(request, "id"), "type": "result"}}
	node.Attrs["from"] = replyFrom(request)
	if len(children) > 0 {
		node.Content = children
	}
	c.send(node)
}

// refuse answers an IQ with an error.
func (c *connection) refuse(request *waBinary.Node, code int, text string) {
	c.send(waBinary.Node{
		Tag:   "iq",
		Attrs: waBinary.Attrs{"id": stringAttr(request, "id"), "type": "error", "from": replyFrom(request)},
		Content: []waBinary.Node{{
			Tag: "error", Attrs: waBinary.Attrs{"code": strconv.Itoa(code), "text": text},
		}},
	})
}

func replyFrom(request *waBinary.Node) types.JID {
	if to, ok := request.Attrs["to"].(types.JID); ok {
		return to
	}
	return types.ServerJID
}

// failure is why the server refuses a login.
type failure struct {
	reason int
	code   int // of a temporary ban
	expire int // seconds, of a temporary ban
}

// fail tells the client why it is refused, and lingers so that it can read it.
func (c *connection) fail(ctx context.Context, why failure) {
	attrs := waBinary.Attrs{"reason": strconv.Itoa(why.reason), "location": "sandbox"}
	if why.code != 0 {
		attrs["code"] = strconv.Itoa(why.code)
	}
	if why.expire != 0 {
		attrs["expire"] = strconv.Itoa(why.expire)
	}
	c.send(waBinary.Node{Tag: "failure", Attrs: attrs})
	c.linger(ctx, failureLinger)
}

// linger reads and ignores what the client still sends, until it hangs up or the time is over.
func (c *connection) linger(ctx context.Context, limit time.Duration) {
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	for {
		if _, err := c.noise.read(ctx); err != nil {
			return
		}
	}
}

// restartCode is the stream error after which the client itself hangs up and connects anew.
const restartCode = "515"

// streamError sends <stream:error>, and cuts the connection a while later; after a restart the client does it: closing
// first would race with its reading.
func (c *connection) streamError(code, conflict string) {
	node := waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": code}}
	if conflict != "" {
		node.Content = []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": conflict}}}
	}
	c.send(node)
	if code != restartCode {
		time.AfterFunc(failureLinger, c.cancel)
	}
}

func unixNow() string { return strconv.FormatInt(time.Now().Unix(), 10) }
