package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"go.mau.fi/whatsmeow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

const downloadChunk = 256 << 10

// mediaTypes name the keys that WhatsApp derives for each kind of file.
var mediaTypes = map[enginepb.MediaKind]whatsmeow.MediaType{
	enginepb.MediaKind_IMAGE:    whatsmeow.MediaImage,
	enginepb.MediaKind_VIDEO:    whatsmeow.MediaVideo,
	enginepb.MediaKind_AUDIO:    whatsmeow.MediaAudio,
	enginepb.MediaKind_DOCUMENT: whatsmeow.MediaDocument,
}

// uploadError is a refusal by WhatsApp's media server.
type uploadError struct{ status int }

func (e uploadError) Error() string { return fmt.Sprintf("upload refused with status %d", e.status) }

// permanent: the file itself was refused. All else is worth another attempt: 401 and 403 are about the hour's token.
func (e uploadError) permanent() bool {
	return e.status == http.StatusBadRequest || e.status == http.StatusRequestEntityTooLarge ||
		e.status == http.StatusUnsupportedMediaType
}

// checkedUploads makes refused uploads typed errors: whatsmeow would leave only their text.
type checkedUploads struct{ http.RoundTripper }

func (t checkedUploads) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(request)
	if err == nil && request.Method == http.MethodPost && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, uploadError{response.StatusCode}
	}
	return response, err
}

// largestAnswer bounds what whatsmeow reads whole into memory: settings that an account's phone has uploaded, of which one
// takes about 300 bytes.
const largestAnswer = 8 << 20

// boundedAnswers ends answers that are too large, but for files, which are read as they come.
type boundedAnswers struct{ http.RoundTripper }

type asItComes struct{} // the context's key of a file's download

func (t boundedAnswers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusOK && request.Context().Value(asItComes{}) == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, largestAnswer)
	}
	return response, err
}

// chunks reads the file that follows the first request of an upload.
type chunks struct {
	stream grpc.ClientStreamingServer[enginepb.UploadRequest, enginepb.UploadResponse]
	rest   []byte
	broken error // the caller's fault, not WhatsApp's
}

func (c *chunks) Read(into []byte) (int, error) {
	for len(c.rest) == 0 {
		request, err := c.stream.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.broken = err
			}
			return 0, err
		}
		if request.GetStart() != nil {
			c.broken = status.Error(codes.InvalidArgument, "the upload has been started")
			return 0, c.broken
		}
		c.rest = request.GetChunk()
	}
	n := copy(into, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Upload encrypts a file as it comes, and uploads it. It is never whole in memory.
func (s *door) Upload(stream grpc.ClientStreamingServer[enginepb.UploadRequest, enginepb.UploadResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	mediaType, known := mediaTypes[start.GetKind()]
	if !known {
		return status.Error(codes.InvalidArgument, "the first request of an upload is its start, with the kind of media")
	}
	a, err := s.engine.connected(start.Account, start.Epoch)
	if err != nil {
		return err
	}
	ctx, cancel := a.during(stream.Context())
	defer cancel()
	file := &chunks{stream: stream}
	uploaded, err := a.client.UploadReader(ctx, file, nil, mediaType)
	switch {
	case file.broken != nil:
		return file.broken
	case err != nil:
		var refused uploadError
		permanent := errors.As(err, &refused) && refused.permanent()
		return stream.SendAndClose(&enginepb.UploadResponse{Result: &enginepb.UploadResponse_Failed_{
			Failed: &enginepb.UploadResponse_Failed{Permanent: permanent, Detail: err.Error()},
		}})
	}
	return stream.SendAndClose(&enginepb.UploadResponse{Result: &enginepb.UploadResponse_Handle{
		Handle: &enginepb.MediaHandle{
			Kind:          start.Kind,
			Url:           uploaded.URL,
			DirectPath:    uploaded.DirectPath,
			MediaKey:      uploaded.MediaKey,
			FileSha256:    uploaded.FileSHA256,
			FileEncSha256: uploaded.FileEncSHA256,
			FileLength:    int64(uploaded.FileLength),
		},
	}})
}

// Download fetches a file, checks and decrypts it, and only then passes it on.
func (s *door) Download(request *enginepb.DownloadRequest, stream grpc.ServerStreamingServer[enginepb.DownloadChunk]) error {
	handle := request.Handle
	mediaType, known := mediaTypes[handle.GetKind()]
	if !known {
		return status.Error(codes.InvalidArgument, "unknown kind of media")
	}
	a, highest := s.engine.account(request.Account)
	if a == nil {
		return errNotOpen
	}
	if a, err := s.engine.connected(request.Account, highest); err != nil {
		return err
	} else if handle.DirectPath == "" || len(handle.MediaKey) == 0 {
		return status.Error(codes.InvalidArgument, "media without a path or a key")
	} else {
		return a.download(stream, handle, mediaType)
	}
}

func (a *account) download(stream grpc.ServerStreamingServer[enginepb.DownloadChunk], handle *enginepb.MediaHandle, mediaType whatsmeow.MediaType) error {
	ctx, cancel := a.during(stream.Context())
	defer cancel()
	file, err := os.CreateTemp("", "chatwren-download-*")
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil { // gone with the process, whatever happens
		return status.Error(codes.Internal, err.Error())
	}
	ctx = context.WithValue(ctx, asItComes{}, true)
	err = a.client.DownloadMediaWithPathToFile(
		ctx, handle.DirectPath, handle.FileEncSha256, handle.FileSha256, handle.MediaKey, mediaType, "", false, file,
	)
	switch {
	case errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith403), errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404),
		errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith410):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, whatsmeow.ErrInvalidMediaHMAC), errors.Is(err, whatsmeow.ErrInvalidMediaEncSHA256),
		errors.Is(err, whatsmeow.ErrInvalidMediaSHA256), errors.Is(err, whatsmeow.ErrTooShortFile):
		return status.Error(codes.DataLoss, err.Error())
	case err != nil:
		return unavailable(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	for buffer := make([]byte, downloadChunk); ; {
		n, err := file.Read(buffer)
		if n > 0 {
			if err := stream.Send(&enginepb.DownloadChunk{Chunk: buffer[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
	}
}

// during is a context that ends with the call or with the account, whichever ends first.
func (a *account) during(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(call)
	stop := context.AfterFunc(a.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
