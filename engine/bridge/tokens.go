package bridge

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// What an account's state holds of the permission to write to somebody: the tokens that contacts have given, and the salt with
// which whatsmeow makes one for a stranger.

func (m *memory) forgetTokens() { clear(m.tokens) } // all: one is found by number and by LID
func (m *memory) forgetSalt()   { m.salt = nil }

func (s *sessionState) GetPrivacyToken(ctx context.Context, user types.JID) (*store.PrivacyToken, error) {
	token, err := recalled(s.memory,
		func() (*store.PrivacyToken, bool) { token, known := s.memory.tokens[user]; return token, known },
		func() (*store.PrivacyToken, error) { return s.AllSessionSpecificStores.GetPrivacyToken(ctx, user) },
		func(token *store.PrivacyToken) { hold(s.memory.tokens, user, token, heldPeers) })
	if token == nil || err != nil {
		return nil, err
	}
	own := *token // whatsmeow changes what it gets
	return &own, nil
}

func (s *sessionState) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	defer s.memory.forget(s.memory.forgetTokens)
	return s.AllSessionSpecificStores.PutPrivacyTokens(ctx, tokens...)
}

func (s *sessionState) DeleteExpiredPrivacyTokens(ctx context.Context, cutoff time.Time) (int64, error) {
	defer s.memory.forget(s.memory.forgetTokens)
	return s.AllSessionSpecificStores.DeleteExpiredPrivacyTokens(ctx, cutoff)
}

func (s *sessionState) GetNCTSalt(ctx context.Context) ([]byte, error) {
	return recalled(s.memory,
		func() ([]byte, bool) {
			if s.memory.salt == nil {
				return nil, false
			}
			return *s.memory.salt, true
		},
		func() ([]byte, error) { return s.AllSessionSpecificStores.GetNCTSalt(ctx) },
		func(salt []byte) { s.memory.salt = &salt })
}

func (s *sessionState) PutNCTSalt(ctx context.Context, salt []byte) error {
	defer s.memory.forget(s.memory.forgetSalt)
	return s.AllSessionSpecificStores.PutNCTSalt(ctx, salt)
}

func (s *sessionState) DeleteNCTSalt(ctx context.Context) error {
	defer s.memory.forget(s.memory.forgetSalt)
	return s.AllSessionSpecificStores.DeleteNCTSalt(ctx)
}
