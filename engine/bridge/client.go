package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"
)

// longestBackoff bounds whatsmeow's pause between attempts to reconnect, which grows by 2 s each time.
const longestBackoff = 4 // attempts, that is 8 s

// silence is how long WhatsApp may leave pings unanswered before the connection is made anew.
const silence = time.Minute

// errNoCAT: the token is for Messenger's accounts.
var errNoCAT = errors.New("WhatsApp has refused a token that this engine does not use")

// newClient makes a client that connects as this engine does: through its HTTP client, and acknowledging nothing before
// the handlers of the event are done.
func (e *Engine) newClient(ctx context.Context, device *store.Device, log *slog.Logger) *whatsmeow.Client {
	client := whatsmeow.NewClient(device, newProtocolLog(log))
	client.SetPreLoginHTTPClient(e.http)
	client.SetWebsocketHTTPClient(e.http)
	client.SetMediaHTTPClient(e.http)
	client.SynchronousAck = true
	client.EnableDecryptedEventBuffer = true
	client.UseRetryMessageStore = true
	client.InitialAutoReconnect = true
	client.ManualHistorySyncDownload = true
	client.BackgroundEventCtx = ctx
	// whatsmeow would call it as nil, in a goroutine that does not recover, if WhatsApp refused a login with 413 or 414.
	client.RefreshCAT = func(context.Context) error { return errNoCAT }
	client.AutoReconnectHook = func(error) bool {
		client.AutoReconnectErrors = min(client.AutoReconnectErrors, longestBackoff)
		return true
	}
	return client
}

// configure sets what whatsmeow keeps for the whole process, such as the name that the phone shows in its list of linked
// devices.
var configure = sync.OnceFunc(func() {
	whatsmeow.KeepAliveMaxFailTime = silence
	store.DeviceProps.Os = proto.String("Chatwren")
	store.DeviceProps.PlatformType = waCompanionReg.DeviceProps_CHROME.Enum()
})
