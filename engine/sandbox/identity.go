package sandbox

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
)

// seed is the secret from which every key of this sandbox follows.
type seed [32]byte

// secret derives 32 bytes for a purpose.
func (s *seed) secret(purpose string) [32]byte {
	return [32]byte(hkdfutil.SHA256(s[:], nil, []byte("sandbox "+purpose), 32))
}

// keyPair derives an X25519 key pair for a purpose.
func (s *seed) keyPair(purpose string) *keys.KeyPair {
	private := s.secret(purpose)
	private[0] &= 248
	private[31] &= 127
	private[31] |= 64
	return keys.NewKeyPairFromPrivateKey(private)
}

// number derives a positive 31-bit number for a purpose.
func (s *seed) number(purpose string) uint32 {
	secret := s.secret(purpose)
	return binary.BigEndian.Uint32(secret[:])&0x7fffffff | 1
}

// address names one device of a phone number: device 0 is the phone, the others are its companions.
type address struct {
	number string
	device uint16
}

func (a address) String() string { return fmt.Sprintf("%s:%d", a.number, a.device) }

// MarshalText makes the address readable in logs.
func (a address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// pn is the address as a phone number JID.
func (a address) pn() types.JID {
	return types.JID{User: a.number, Server: types.DefaultUserServer, Device: a.device}
}

// lid is the address as a LID JID.
func (a address) lid() types.JID {
	return types.JID{User: lidUser(a.number), Server: types.HiddenUserServer, Device: a.device}
}

// A LID is a number of 16 digits: an offset plus the phone number times a constant modulo a prime. That can be turned
// round without a table, and the result does not look like the phone number, so that a program that confuses the two
// is found out.
const (
	lidOffset     = 2_000_000_000_000_000
	lidPrime      = 1_000_000_000_000_037 // the smallest prime above 10^15
	lidMultiplier = 618_033_988_749_895
)

// lidInverse is lidMultiplier to the power of lidPrime-2: its inverse, by Fermat's little theorem.
var lidInverse = func() uint64 {
	inverse, base := uint64(1), uint64(lidMultiplier)
	for exponent := uint64(lidPrime - 2); exponent > 0; exponent >>= 1 {
		if exponent&1 == 1 {
			inverse = mulMod(inverse, base)
		}
		base = mulMod(base, base)
	}
	return inverse
}()

func mulMod(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return bits.Rem64(high, low, lidPrime)
}

func lidUser(number string) string {
	value, _ := strconv.ParseUint(number, 10, 64)
	return strconv.FormatUint(lidOffset+mulMod(value, lidMultiplier), 10)
}

// addressOf is the device that a JID of a user names, by phone number or by LID.
func addressOf(jid types.JID) (address, bool) {
	number := jid.User
	switch jid.Server {
	case types.DefaultUserServer, types.LegacyUserServer:
	case types.HiddenUserServer:
		value, err := strconv.ParseUint(jid.User, 10, 64)
		if err != nil || value < lidOffset || value >= lidOffset+lidPrime {
			return address{}, false
		}
		number = strconv.FormatUint(mulMod(value-lidOffset, lidInverse), 10)
	default:
		return address{}, false
	}
	return address{number, jid.Device}, validNumber(number)
}

// validNumber tells whether the text is a number that can exist here: 7 to 15 digits, the first of them not 0.
func validNumber(number string) bool {
	if len(number) < 7 || len(number) > 15 || number[0] == '0' {
		return false
	}
	for _, digit := range []byte(number) {
		if digit < '0' || digit > '9' {
			return false
		}
	}
	return true
}
