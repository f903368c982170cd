package sandbox

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded lets through what comes from the page itself and from programs. Pages of other sites, which run in the browser
// of whoever runs this, must neither read nor change anything, by whatever name they make this machine answer to.
func (s *Server) guarded(next http.Handler, listen string) http.Handler {
	bound, _, err := net.SplitHostPort(listen)
	if err != nil {
		bound = ""
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if refused := refusal(r, bound); refused != nil {
			s.answer(w, nil, refused)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refusal(r *http.Request, bound string) error {
	if !ownHost(r.Host, bound) {
		return &httpError{http.StatusMisdirectedRequest, "the Host of this request is not this sandbox's: use localhost"}
	}
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, "http://"+r.Host) {
			return &httpError{http.StatusForbidden, "pages of other sites may not use the simulated phones"}
		}
	}
	// What a form of another site can send without asking first is none of this. A picture changes nothing.
	if (r.Method == http.MethodPost || r.Method == http.MethodPatch) && r.URL.Path != "/qr/decode" {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" {
			return &httpError{http.StatusUnsupportedMediaType, "the Content-Type must be application/json"}
		}
	}
	return nil
}

// ownHost says whether a request's Host means this listener. A name that somebody else's DNS points here does not; on a
// listener for all addresses of the machine each of these does, since no name is behind it.
func ownHost(given, bound string) bool {
	host := given
	if name, _, err := net.SplitHostPort(given); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || host != "" && host == strings.ToLower(bound) {
		return true
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	everywhere := bound == ""
	if own, err := netip.ParseAddr(bound); err == nil {
		everywhere = own.IsUnspecified()
	}
	return address.Unmap().IsLoopback() || everywhere
}
