package modules

import (
	"fmt"
	"io"
	"net/http"

	"selfhost/libtengo/internal/egress"
	"selfhost/libtengo/internal/frame"
)

// ClientOptions bounds what the programs of an executor may do over HTTP together.
type ClientOptions struct {
	Redirects int // that one call follows
	Parallel  int // calls at once
	Egress    frame.Egress
}

// Client performs the HTTP calls of an executor's programs. It keeps connections, but no cookies.
type Client struct {
	http  *http.Client
	turns chan struct{} // one place for each call at once
}

// NewClient makes a client. It is an error if the rules for egress cannot be read.
func NewClient(options ClientOptions) (*Client, error) {
	transport, err := egress.NewTransport(options.Egress, options.Parallel)
	if err != nil {
		return nil, err
	}
	followed := func(_ *http.Request, via []*http.Request) error {
		if len(via) > options.Redirects {
			return fmt.Errorf("more than %d redirects (limits.http_redirects)", options.Redirects)
		}
		return nil
	}
	return &Client{
		http:  &http.Client{Transport: transport, CheckRedirect: followed},
		turns: make(chan struct{}, options.Parallel),
	}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() {
	c.http.CloseIdleConnections()
}

// exchange performs a request when its turn has come, and reads the body of the answer, which may have so many bytes.
func (c *Client) exchange(request *http.Request, most int) (*http.Response, []byte, error) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-request.Context().Done():
		return nil, nil, request.Context().Err()
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := readAtMost(response.Body, most)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %q: %w", request.Method, request.URL.Redacted(), err)
	}
	return response, body, nil
}

// readAtMost reads what the transport may have unpacked on the way, so that it is the unpacked bytes that count.
func readAtMost(body io.Reader, most int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > most {
		return nil, fmt.Errorf("the answer is over %d bytes (limits.http_answer_bytes)", most)
	}
	return content, nil
}
