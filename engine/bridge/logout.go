package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

const (
	logoutTime = 15 * time.Second // to connect and to tell WhatsApp
	forgetTime = time.Minute      // for the database to come back
)

// Logout unlinks a device, and forgets its keys even where WhatsApp cannot be told.
func (s *door) Logout(ctx context.Context, request *enginepb.LogoutRequest) (*enginepb.LogoutResponse, error) {
	jid, err := parseDeviceJID(request.Jid)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	e := s.engine
	o := e.ownership(request.Account)
	o.changing.Lock()
	defer o.changing.Unlock()
	if !e.claim(o, request.Epoch) {
		return nil, errFenced
	}
	if a, _ := e.account(request.Account); a != nil {
		told := a.device() == jid && a.ready() && a.unlink(ctx)
		e.dismiss(a)
		if told {
			return &enginepb.LogoutResponse{ToldWhatsapp: true}, nil
		}
	}
	told, err := e.logout(ctx, request.Account, jid, request.Epoch)
	if err != nil {
		return nil, unavailable(err)
	}
	return &enginepb.LogoutResponse{ToldWhatsapp: told}, nil
}

// LogoutOrphans logs out devices that no account claims.
func (s *door) LogoutOrphans(ctx context.Context, request *enginepb.LogoutOrphansRequest) (*enginepb.LogoutOrphansResponse, error) {
	devices, err := s.engine.database.container.GetAllDevices(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &enginepb.LogoutOrphansResponse{}
	for _, device := range devices {
		jid := device.GetJID()
		if slices.Contains(request.KnownJids, jid.String()) {
			continue
		}
		if _, err := s.engine.unlink(ctx, "", device, 0); err != nil {
			return nil, unavailable(err)
		}
		response.LoggedOut = append(response.LoggedOut, jid.String())
	}
	return response, nil
}

// logout unlinks a device that is not open.
func (e *Engine) logout(ctx context.Context, id string, jid types.JID, epoch int64) (told bool, err error) {
	device, err := e.database.container.GetDevice(ctx, jid)
	if err != nil || device == nil {
		return false, err
	}
	return e.unlink(ctx, id, device, epoch)
}

// unlink connects a device once more, only to log it out.
func (e *Engine) unlink(ctx context.Context, id string, device *store.Device, epoch int64) (told bool, err error) {
	jid := device.GetJID()
	a := e.newAccount(id, device, newLease(epoch, 2*logoutTime))
	defer a.end()
	reached := make(chan bool, 1)
	a.observe = func(event any) {
		var connected bool
		switch event.(type) {
		case *events.Connected:
			connected = true
		case events.PermanentDisconnect:
		default:
			return
		}
		select {
		case reached <- connected:
		default:
		}
	}
	a.connect()
	select {
	case connected := <-reached:
		told = connected && a.unlink(ctx)
	case <-time.After(logoutTime):
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return told, e.database.forget(jid)
}

// unlink tells WhatsApp to remove the device, and deletes its keys.
func (a *account) unlink(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, logoutTime)
	defer cancel()
	if err := a.client.Logout(ctx); !errors.Is(err, errForgotten) {
		a.log.Warn("WhatsApp could not be told of a logout", "error", fmt.Sprint(err))
		return false
	}
	return true
}

// forgetDevice: privacy tokens have no foreign key.
const forgetDevice = `WITH tokens AS (DELETE FROM whatsmeow_privacy_tokens WHERE our_jid = $1)
	DELETE FROM whatsmeow_device WHERE jid = $1`

// forget deletes the keys of a device, and all else that is kept for it.
func (d *database) forget(jid types.JID) error {
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	for {
		_, err := d.sql.ExecContext(ctx, forgetDevice, jid.String())
		if err == nil {
			return nil
		}
		if !d.await(ctx) {
			return fmt.Errorf("keys of an unlinked device: %w", err)
		}
	}
}
