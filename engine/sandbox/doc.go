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
//	pairing.go     linking by QR code; paircode.go by a code that is typed on the phone; passkey.go with a passkey
//	companion.go   a linked device as the server knows it, with the queue of what it has not acknowledged
//	messages.go    the way of a message from a companion to devices; parcel.go what is on its way to one
//	phone.go       a simulated phone, in an actor of its own; inbox.go what it reads, outbox.go what it writes
//	hostile.go     what no app would send
//	welcome.go     what a phone gives a new companion; phonestate.go the phone's side of app state
//	faults.go      the ways in which it misbehaves on request
//	state.go       what survives a restart: an append-only journal
//
// A phone verifies what a real one verifies: the companion's device signature, the prekey signature, every MAC of the
// Signal protocol, the hashes and the MAC of media. Stanzas for a companion stay queued until it acknowledges them,
// and are delivered again after a reconnect. A message that arrives more than once is shown once.
//
// # The HTTP interface
//
// Bodies and answers are JSON; an error is {"error": "..."} with a status of 4xx. Numbers are digits. A POST or PATCH
// has Content-Type: application/json. Pages of other sites are refused, by Origin and by Host: localhost, a loopback
// address, or what the listener was bound to; any address where that is all of them (httpguard.go).
//
//	GET    /phones                                     [{number, name, receipts, registered, passkey, companions, messages}]
//	PATCH  /phones/{number}                            {receipts: none|delivered|read, registered, passkey, name}, each optional
//	POST   /phones/{number}/scan                       {qr}: waits until the link is made or has failed
//	POST   /phones/{number}/paircode                   {code}: likewise
//	POST   /phones/{number}/passkey                    options of WebAuthn -> the assertion made with the phone's passkey
//	DELETE /phones/{number}/companions/{device}        unlinks
//	GET    /phones/{number}/messages                   [{id, from, to, text, media, at, deliveries, receipt}]
//	POST   /phones/{number}/messages                   {to, text}; to is a number or the id of a group
//	POST   /phones/{number}/messages                   {to, raw, id, timestamp, pushName, type, edit, version}: hostile, see
//	                                                   below
//	POST   /phones/{number}/receipts                   {to, ids, type, timestamp, group}: likewise
//	POST   /phones/{number}/settings                   {collection, raw}: likewise
//	GET    /phones/{number}/messages/{id}/media?from=  the attachment, decrypted
//	POST   /phones/{number}/typing                     {to, typing}
//	POST   /phones/{number}/disappearing               {to, seconds}: the timer of a chat, 0 ends it
//	POST   /phones/{number}/contacts                   {number, name}: an entry of the address book
//	GET    /groups                                     all groups
//	POST   /groups                                     {name, owner, participants} -> {id}
//	PATCH  /groups/{id}                                {by, name, description, announce, locked, disappearsAfterSeconds,
//	                                                   add, remove, promote, demote}, each optional
//	GET    /faults, POST /faults, DELETE /faults       {phone, kind, code, milliseconds, count}; see faults.go
//	POST   /qr/decode                                  a picture of a QR code -> {text}
//	GET    /stats                                      figures
//	GET    /events                                     server-sent: message, phone, companion, group, typing, fault
//
// # Hostile phones
//
// Strangers send what no app would. A message with "raw" (base64) goes out with these bytes as its plaintext, a
// waE2E.Message or not, and with the id, time stamp, push name and attributes as given; all but raw and to may be left
// out. A receipt goes to the companions of a number, with ids, type ("" is delivered) and time stamp as given, whether
// there are such messages or not. Settings with "raw" (base64), a SyncdPatch, are added to a collection of the phone's app
// state, which nobody reads any more from there on if nobody can read these. The texts, and the names of phones and groups,
// are a JSON string, a number as it is written, or {"base64": "..."} for bytes that no JSON string can hold. What is given
// is not checked; the answer is the same whether anybody can read it.
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
