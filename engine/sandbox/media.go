package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/cbcutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
)

const (
	// mediaHost is the host that clients are told to use. It exists nowhere: only who is routed here gets through.
	mediaHost = "media.sandbox.invalid"
	// maxMediaBytes is how much media is kept, encrypted as it came. The oldest falls out.
	maxMediaBytes = 256 << 20
	// maxUpload is the largest file that is taken.
	maxUpload = 128 << 20
)

// mediaStore keeps uploads in memory, by the SHA-256 of what was uploaded.
type mediaStore struct {
	mu    sync.Mutex
	blobs map[string][]byte
	order []string
	size  int
}

func newMediaStore() *mediaStore { return &mediaStore{blobs: map[string][]byte{}} }

func (m *mediaStore) put(token string, blob []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blobs[token] != nil {
		return
	}
	m.blobs[token] = blob
	m.order = append(m.order, token)
	m.size += len(blob)
	for m.size > maxMediaBytes && len(m.order) > 1 {
		m.size -= len(m.blobs[m.order[0]])
		delete(m.blobs, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *mediaStore) get(token string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blobs[token]
}

func (m *mediaStore) remove(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.order, token); i >= 0 {
		m.size -= len(m.blobs[token])
		delete(m.blobs, token)
		m.order = slices.Delete(m.order, i, i+1)
	}
}

// mediaToken names an upload: the SHA-256 of the encrypted file.
func mediaToken(sum []byte) string { return base64.URLEncoding.EncodeToString(sum) }

func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	blob, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
	if err != nil {
		http.Error(w, "too large, or cut short", http.StatusRequestEntityTooLarge)
		return
	}
	sum := sha256.Sum256(blob)
	token := r.PathValue("token")
	if mediaToken(sum[:]) != token {
		http.Error(w, "the hash does not match", http.StatusBadRequest)
		return
	}
	s.media.put(token, blob)
	direct := directPath(token)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"url": "https://" + mediaHost + direct, "direct_path": direct, "handle": token, "object_id": token,
	})
}

// directPath is where an upload is found. Clients append their parameters with &, so it has one already.
func directPath(token string) string { return "/media/" + token + "?ccb=1" }

func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request) {
	blob := s.media.get(r.PathValue("token"))
	if blob == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(blob)
}

func (s *Server) serveDelete(_ http.ResponseWriter, r *http.Request) {
	s.media.remove(r.PathValue("token"))
}

// serveVersion is the page from which a client learns which version of WhatsApp Web is current: here, its own.
func (s *Server) serveVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>sandbox</title><script>{\"client_revision\":%d,}</script>", store.GetWAVersion()[2])
}

// inspect opens an attachment as a phone would, and describes it.
func (m *mediaStore) inspect(a *attachment) *mediaInfo {
	info := &mediaInfo{Mimetype: a.mimetype, FileName: a.fileName, Seconds: a.seconds, source: *a}
	plain, err := m.open(a)
	if err != nil {
		info.Error = err.Error()
		return info
	}
	info.Size, info.SHA256 = len(plain), hexSum(sha256.Sum256(plain))
	return info
}

// open fetches, verifies and decrypts an attachment.
func (m *mediaStore) open(a *attachment) ([]byte, error) {
	direct, _, _ := strings.Cut(a.GetDirectPath(), "?")
	blob := m.get(path.Base(direct))
	if blob == nil {
		return nil, errors.New("the file is not on the server")
	}
	return decryptMedia(blob, a, whatsmeow.GetMediaType(a.DownloadableMessage), a.length)
}

// macLength is how much of the HMAC stands at the end of an encrypted file.
const macLength = 10

func decryptMedia(blob []byte, message whatsmeow.DownloadableMessage, kind whatsmeow.MediaType, length uint64) ([]byte, error) {
	if sum := sha256.Sum256(blob); !bytes.Equal(sum[:], message.GetFileEncSHA256()) || len(blob) <= macLength {
		return nil, errors.New("the hash of the encrypted file is wrong")
	}
	expanded := hkdfutil.SHA256(message.GetMediaKey(), nil, []byte(kind), 112)
	iv, cipherKey, macKey := expanded[:16], expanded[16:48], expanded[48:80]
	sealed, tag := blob[:len(blob)-macLength], blob[len(blob)-macLength:]
	mac := hmac.New(sha256.New, macKey)
	mac.Write(iv)
	mac.Write(sealed)
	if !hmac.Equal(mac.Sum(nil)[:macLength], tag) {
		return nil, errors.New("the MAC is wrong")
	}
	plain, err := cbcutil.Decrypt(cipherKey, iv, bytes.Clone(sealed)) // it works in place
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(plain); !bytes.Equal(sum[:], message.GetFileSHA256()) {
		return nil, errors.New("the hash of the file is wrong")
	}
	if uint64(len(plain)) != length {
		return nil, fmt.Errorf("the file has %d bytes, the message says %d", len(plain), length)
	}
	return plain, nil
}
