package bridge

import (
	"strings"
	"time"

	"chatwren/engine/enginepb"
)

const (
	firstCode = time.Minute      // how long WhatsApp takes the first QR code (whatsmeow: qrchan.go)
	laterCode = 20 * time.Second // and each one after it
)

// qrCodes are the codes of one pairing. WhatsApp gives them all at once; they are valid one after the other.
type qrCodes struct {
	codes []string
	since time.Time
}

func newQRCodes(codes []string, now time.Time) qrCodes { return qrCodes{codes, now} }

// until is when code i ends.
func (q qrCodes) until(i int) time.Time {
	return q.since.Add(firstCode + time.Duration(i)*laterCode)
}

func (q qrCodes) total() time.Duration { return q.until(len(q.codes) - 1).Sub(q.since) }

func (q qrCodes) left(now time.Time) time.Duration { return q.until(len(q.codes) - 1).Sub(now) }

// rotate puts a new secret into the codes, in place of one that WhatsApp has declared void.
func (q *qrCodes) rotate(before, after string) {
	for i, code := range q.codes {
		q.codes[i] = strings.Replace(code, before, after, 1)
	}
}

// event lists the codes from the current one on.
func (q qrCodes) event(now time.Time) *enginepb.PairEvent {
	list := &enginepb.PairEvent_Codes{}
	for i, code := range q.codes {
		left := min(q.until(i).Sub(now), laterCode)
		if len(list.Codes) == 0 {
			left = q.until(i).Sub(now) // the first of the list counts from now
		}
		if left > 0 {
			list.Codes = append(list.Codes, &enginepb.PairEvent_Codes_Code{Text: code, ValidForMs: left.Milliseconds()})
		}
	}
	return &enginepb.PairEvent{Event: &enginepb.PairEvent_Codes_{Codes: list}}
}
