package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// PhonesClient drives the simulated phones of a sandbox over their HTTP interface.
type PhonesClient struct {
	URL string // of the phones listener, without a slash at the end
}

// Do sends a request whose body is the JSON of in, unless that is nil, and decodes the answer into out, unless that is
// nil. An answer with a status of 400 or above is an error with its message.
func (c PhonesClient) Do(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		var refused struct {
			Error string `json:"error"`
		}
		_ = json.NewDecoder(response.Body).Decode(&refused)
		return fmt.Errorf("%s %s: %d: %s", method, path, response.StatusCode, refused.Error)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(out)
}
