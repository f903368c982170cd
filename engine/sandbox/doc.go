// Package sandbox is a simulator that speaks WhatsApp's side of the multi-device protocol on loopback, so that a
// client which cannot tell the difference pairs, logs in, sends and receives. It is not WhatsApp, it is not affiliated
// with it, and nothing in it ever leaves the machine.
//
// # Two listeners
//
// The protocol listener is what a client dials: a WebSocket with the Noise handshake (noise.go, frame.go), the stanzas
// (connection.go and a file for each concept), and the media store (media.go). The phones listener is for people and
// tests: a page and an HTTP interface (http.go). A client can therefore never reach the second by accident.
//
// # The parts
//
//	connection.go  one client's socket: handshake, then pairing or login, then stanzas
//	companion.go   a linked device as the server knows it, with the queue of what it has not acknowledged
//	phone.go       a simulated phone: its keys, its Signal state, its messages, in an actor of its own
//	state.go       what survives a restart: an append-only journal
//
// A phone verifies what a real one verifies: the companion's device signature, the prekey signature, every MAC of the
// Signal protocol, the hashes and the MAC of media. Stanzas for a companion stay queued until it acknowledges them,
// and are delivered again after a reconnect.
//
// # Which numbers exist
//
// Any number of 7 to 15 digits that does not start with 0 exists as soon as somebody names it. Its keys and its
// LID (WhatsApp's opaque user id) follow from the server's seed and the number, so that nothing has to be stored for
// it: a restart, or dropping the phone that was idle longest, changes no identity.
//
// # What survives
//
// With a state directory: the seed, links (device number, keys, prekeys), settings of phones, groups, and app state.
// It is written by appending, so it survives kill -9 of the process (the page cache keeps what was written; a crash of
// the whole machine may cost the last records). Not kept: messages, media, stanzas queued for an offline companion,
// and the phones' Signal sessions, which heal by retry receipts. Two phones of the sandbox that write to each other
// do so in plain: encryption exists where a companion is at one end.
//
// # Bounds
//
// Phones with nothing to keep are dropped, longest idle first, beyond maxPhones; a phone keeps its latest maxMessages
// messages; a companion's queue holds maxQueued stanzas; media take maxMediaBytes. What falls out is counted in
// GET /stats.
package sandbox
