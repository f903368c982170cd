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
	reachTime  = 30 * time.Second // to connect a device only to log it out
	reachAgain = 8 * time.Second  // without a login, after which it is connected anew: see loginPatience
	logoutTime = 15 * time.Second // to tell WhatsApp
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
	if !e.claim(o, request.Epoch) {
		return nil, errFenced
	}
	if err := e.endPairing(ctx, o); err != nil {
		return nil, unavailable(err)
	}
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
	device, err := e.database.container.GetDevice(ctx, jid)
	if err != nil {
		return nil, unavailable(err)
	}
	if device == nil {
		return &enginepb.LogoutResponse{NoDevice: true}, nil
	}
	told, err := e.unlink(ctx, request.Account, device, request.Epoch, reachTime)
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
		if _, err := s.engine.unlink(ctx, "", device, 0, logoutTime); err != nil {
			return nil, unavailable(err)
		}
		response.LoggedOut = append(response.LoggedOut, jid.String())
	}
	return response, nil
}

// unlink connects a device once more, only to log it out. Its keys are kept until WhatsApp was told or could not be reached
// for so long.
func (e *Engine) unlink(ctx context.Context, id string, device *store.Device, epoch int64, within time.Duration) (told bool, err error) {
	jid := device.GetJID()
	a := e.newAccount(id, device, newLease(epoch, within+logoutTime))
	defer a.end()
	reached := make(chan any, 1)
	a.observe = func(event any) {
		switch event.(type) {
		case *events.Connected, events.PermanentDisconnect:
		default:
			return
		}
		select {
		case reached <- event:
		default:
		}
	}
	again := time.NewTicker(reachAgain)
	defer again.Stop()
	late := time.After(within)
	a.connect()
	for over := false; !over; {
		select {
		case event := <-reached:
			switch event.(type) {
			case *events.Connected:
				told = a.unlink(ctx)
			case *events.LoggedOut:
				told = true // WhatsApp says that it is
			}
			over = told // else another program took its place, or the connection broke: once more
		case <-again.C:
			a.connect()
		case <-late:
			over = true
		case <-ctx.Done():
			return false, ctx.Err()
		}
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
