package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"chatwren/engine/sandbox/qr"
)

// httpError is an answer with a status of 4xx.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &httpError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &httpError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

// phonesHandler serves people and tests.
func (s *Server) phonesHandler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, serve func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			result, err := serve(r)
			s.answer(w, result, err)
		})
	}
	route("GET /phones", s.listPhones)
	route("PATCH /phones/{number}", s.patchPhone)
	route("POST /phones/{number}/scan", s.postScan)
	route("POST /phones/{number}/paircode", s.postPairCode)
	route("POST /phones/{number}/passkey", s.postPasskey)
	route("POST /phones/{number}/contacts", s.postContact)
	route("POST /phones/{number}/typing", s.postTyping)
	route("POST /phones/{number}/disappearing", s.postDisappearing)
	route("GET /phones/{number}/messages", s.listMessages)
	route("POST /phones/{number}/messages", s.postMessage)
	route("POST /phones/{number}/receipts", s.postReceipt)
	route("POST /phones/{number}/settings", s.postSettings)
	route("DELETE /phones/{number}/companions/{device}", s.deleteCompanion)
	route("GET /groups", s.listGroups)
	route("POST /groups", s.postGroup)
	route("PATCH /groups/{id}", s.patchGroup)
	route("GET /faults", s.listFaults)
	route("POST /faults", s.postFault)
	route("DELETE /faults", s.deleteFaults)
	route("GET /stats", s.getStats)
	route("POST /qr/decode", s.decodeQR)
	mux.HandleFunc("GET /phones/{number}/messages/{id}/media", s.serveMessageMedia)
	mux.Handle("GET /page/", pageHandler())
	mux.Handle("GET /{$}", pageHandler())
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, nil, notFound("there is nothing at %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// answer writes a result, or an error as {"error": "..."}.
func (s *Server) answer(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		var refused *httpError
		var unlinkable *linkError
		switch {
		case errors.As(err, &refused):
			status = refused.status
		case errors.As(err, &unlinkable):
			status = http.StatusConflict
		default:
			s.log.Error("request failed", "error", err)
		}
		result = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result)
}

// maxBody is how large the body of a request may be: a message that fills a frame, in base64.
const maxBody = 32 << 20

// readJSON reads the body of a request.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return badRequest("the body cannot be read, or has more than %d bytes", maxBody)
	}
	if err = json.Unmarshal(body, into); err != nil {
		return badRequest("the body is not the JSON that is expected: %s", err)
	}
	return nil
}

// requestPhone returns the phone that a request names.
func (s *Server) requestPhone(r *http.Request) (*phone, error) {
	number := strings.TrimPrefix(r.PathValue("number"), "+")
	if !validNumber(number) {
		return nil, badRequest("a number has 7 to 15 digits, the first of them not 0")
	}
	return s.phone(number), nil
}

// getStats counts what there is and what has happened since the start.
func (s *Server) getStats(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected, queuedStanzas := 0, 0
	for _, c := range s.companions {
		if c.live != nil {
			connected++
		}
		queuedStanzas += len(c.queue)
	}
	return map[string]any{
		"phones": len(s.phones), "companions": len(s.companions), "connected": connected, "groups": len(s.groups),
		"queued": queuedStanzas, "stanzasReceived": s.stats.received.Load(), "messages": s.stats.messages.Load(),
		"delivered": s.stats.delivered.Load(), "receipts": s.stats.receipts.Load(),
		"undecryptable": s.stats.undecryptable.Load(), "rejected": s.stats.rejected.Load(), "dropped": s.stats.dropped.Load(),
	}, nil
}

// decodeQR reads the text of the QR code in a picture.
func (s *Server) decodeQR(r *http.Request) (any, error) {
	picture, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, badRequest("the body cannot be read")
	}
	text, err := qr.Read(picture)
	if err != nil {
		return nil, badRequest("%s", err)
	}
	return map[string]string{"text": text}, nil
}
