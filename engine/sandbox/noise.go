package sandbox

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"
	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waCert"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// serverIdentity is what the server proves itself with: its static Noise key and the certificates over it.
type serverIdentity struct {
	root   *keys.KeyPair
	static *keys.KeyPair
	chain  []byte // a serialized waCert.CertChain
}

// newServerIdentity issues the chain root -> intermediate -> static key. Clients pin the root's public key.
func newServerIdentity(s *seed, now time.Time) (*serverIdentity, error) {
	root, intermediate, static := s.keyPair("root"), s.keyPair("intermediate"), s.keyPair("static")
	issue := func(issuer *keys.KeyPair, serial, issuerSerial uint32, subject *keys.KeyPair) (*waCert.CertChain_NoiseCertificate, error) {
		details, err := proto.Marshal(&waCert.CertChain_NoiseCertificate_Details{
			Serial:       proto.Uint32(serial),
			IssuerSerial: proto.Uint32(issuerSerial),
			Key:          subject.Pub[:],
			NotBefore:    proto.Uint64(uint64(now.AddDate(0, 0, -1).Unix())),
			NotAfter:     proto.Uint64(uint64(now.AddDate(10, 0, 0).Unix())),
		})
		signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*issuer.Priv), details)
		return &waCert.CertChain_NoiseCertificate{Details: details, Signature: signature[:]}, err
	}
	first, err := issue(root, 1, 0, intermediate)
	if err != nil {
		return nil, err
	}
	second, err := issue(intermediate, 2, 1, static)
	if err != nil {
		return nil, err
	}
	chain, err := proto.Marshal(&waCert.CertChain{Intermediate: first, Leaf: second})
	return &serverIdentity{root: root, static: static, chain: chain}, err
}

// responder is the server's side of Noise_XX_25519_AESGCM_SHA256. whatsmeow's helper knows no role but keeps the
// chaining key to itself, which the responder needs at the end.
type responder struct {
	*socket.NoiseHandshake
	chainingKey []byte
}

func newResponder() *responder {
	r := &responder{NoiseHandshake: socket.NewNoiseHandshake(), chainingKey: []byte(socket.NoiseStartPattern)}
	r.Start(socket.NoiseStartPattern, socket.WAConnHeader)
	return r
}

func (r *responder) mix(private *[32]byte, public []byte) error {
	secret, err := curve25519.X25519(private[:], public)
	if err != nil {
		return err
	}
	r.chainingKey = hkdfutil.SHA256(secret, r.chainingKey, nil, 64)[:32]
	return r.MixIntoKey(secret)
}

// split yields the ciphers for reading and writing after the handshake.
func (r *responder) split() (read, write cipher.AEAD, err error) {
	expanded := hkdfutil.SHA256(nil, r.chainingKey, nil, 64)
	if read, err = gcmutil.Prepare(expanded[:32]); err != nil {
		return nil, nil, err
	}
	write, err = gcmutil.Prepare(expanded[32:])
	return read, write, err
}

// accept runs the handshake with a client. It returns the encrypted connection, the client's static key, and what the
// client says about itself.
func (id *serverIdentity) accept(ctx context.Context, ws *websocket.Conn) (*noiseConn, [32]byte, *waWa6.ClientPayload, error) {
	conn := &noiseConn{ws: ws}
	fail := func(err error) (*noiseConn, [32]byte, *waWa6.ClientPayload, error) {
		return nil, [32]byte{}, nil, fmt.Errorf("noise handshake: %w", err)
	}
	if err := conn.readHeader(ctx); err != nil {
		return fail(err)
	}
	var hello, finish waWa6.HandshakeMessage
	if err := conn.readProto(ctx, &hello); err != nil {
		return fail(err)
	}
	peer := hello.GetClientHello().GetEphemeral()
	if len(peer) != 32 {
		return fail(errors.New("client hello without an ephemeral key"))
	}
	r, ephemeral := newResponder(), keys.NewKeyPair()
	r.Authenticate(peer)
	r.Authenticate(ephemeral.Pub[:])
	if err := r.mix(ephemeral.Priv, peer); err != nil {
		return fail(err)
	}
	static := r.Encrypt(id.static.Pub[:])
	if err := r.mix(id.static.Priv, peer); err != nil {
		return fail(err)
	}
	answer := &waWa6.HandshakeMessage{ServerHello: &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: ephemeral.Pub[:],
		Static:    static,
		Payload:   r.Encrypt(id.chain),
	}}
	if err := conn.writeProto(ctx, answer); err != nil {
		return fail(err)
	}
	if err := conn.readProto(ctx, &finish); err != nil {
		return fail(err)
	}
	client, err := r.Decrypt(finish.GetClientFinish().GetStatic())
	if err != nil || len(client) != 32 {
		return fail(errors.New("the client's static key does not decrypt"))
	}
	if err = r.mix(ephemeral.Priv, client); err != nil {
		return fail(err)
	}
	decrypted, err := r.Decrypt(finish.GetClientFinish().GetPayload())
	if err != nil {
		return fail(errors.New("the client's payload does not decrypt"))
	}
	payload := &waWa6.ClientPayload{}
	if err = proto.Unmarshal(decrypted, payload); err != nil {
		return fail(err)
	}
	if conn.readKey, conn.writeKey, err = r.split(); err != nil {
		return fail(err)
	}
	return conn, [32]byte(client), payload, nil
}
