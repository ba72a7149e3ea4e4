package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/egress"
)

const (
	userAgent       = "Selfhost-tengo-client/1.0"
	formContentType = "application/x-www-form-urlencoded"
)

// call is one HTTP request as a program asks for it.
type call struct {
	method  string
	url     string
	query   [][2]string
	headers [][2]string
	content []byte
}

func httpModule(slot *Slot) map[string]tengo.Object {
	perform := func(method string, read func(string, arguments) (call, error)) tengo.CallableFunc {
		return func(args ...tengo.Object) (tengo.Object, error) {
			asked, err := read(method, args)
			if err != nil {
				return nil, err
			}
			return slot.Run.fetch(asked)
		}
	}
	return functions(map[string]tengo.CallableFunc{
		"get":        perform(http.MethodGet, readCall),
		"post":       perform(http.MethodPost, readCallWithContent),
		"put":        perform(http.MethodPut, readCallWithContent),
		"delete":     perform(http.MethodDelete, readCallWithContent),
		"postform":   perform(http.MethodPost, readFormCall),
		"toformdata": toFormData,
	})
}

// readCall reads (url, query_args, headers).
func readCall(method string, args arguments) (call, error) {
	if err := args.between(1, 3); err != nil {
		return call{}, err
	}
	return readCommon(method, args)
}

// readCallWithContent reads (url, query_args, headers, content).
func readCallWithContent(method string, args arguments) (call, error) {
	if err := args.between(1, 4); err != nil {
		return call{}, err
	}
	asked, err := readCommon(method, args)
	if err == nil && args.given(3) {
		asked.content, err = args.content(3, "content")
	}
	return asked, err
}

// readFormCall reads (url, query_args, headers), where the query arguments become the form in the body.
func readFormCall(method string, args arguments) (call, error) {
	asked, err := readCall(method, args)
	if err != nil {
		return call{}, err
	}
	asked.content, asked.query = []byte(escaped(asked.query)), nil
	// First, so that a content type of the program's own takes its place.
	asked.headers = append([][2]string{{"Content-Type", formContentType}}, asked.headers...)
	return asked, nil
}

func readCommon(method string, args arguments) (asked call, err error) {
	asked.method = method
	if asked.url, err = args.text(0, "url"); err != nil {
		return
	}
	if asked.query, err = args.pairs(1, "query_args"); err != nil {
		return
	}
	asked.headers, err = args.headers(2, "headers")
	return
}

func toFormData(args ...tengo.Object) (tengo.Object, error) {
	if err := arguments(args).between(1, 1); err != nil {
		return nil, err
	}
	pairs, err := arguments(args).pairs(0, "query_args")
	if err != nil {
		return nil, err
	}
	form := &tengo.String{Value: escaped(pairs)}
	return form, checkLength(form)
}

func escaped(pairs [][2]string) string {
	texts := make([]string, len(pairs))
	for i, pair := range pairs {
		texts[i] = url.QueryEscape(pair[0]) + "=" + url.QueryEscape(pair[1])
	}
	return strings.Join(texts, "&")
}

// fetch performs a call. What goes wrong on the way becomes an error value, which the program can look at; only a run
// that must end is an error.
func (r *Run) fetch(asked call) (tengo.Object, error) {
	if r.httpCalls == r.Limits.HTTPCalls {
		return nil, fmt.Errorf("a run may make %d http calls (limits.http_calls)", r.Limits.HTTPCalls)
	}
	r.httpCalls++
	answer, err := r.exchange(asked)
	if r.Context.Err() != nil {
		return nil, context.Cause(r.Context)
	}
	if err != nil {
		return errorValue(described(err)), nil
	}
	return answer, nil
}

func (r *Run) exchange(asked call) (tengo.Object, error) {
	request, err := asked.request(r.Context)
	if err != nil {
		return nil, err
	}
	response, body, err := r.Client.exchange(request, r.Limits.HTTPAnswerBytes)
	if err != nil {
		return nil, err
	}
	return answerValue(response, body), nil
}

// described leaves out where in Go's layers a call was refused.
func described(err error) string {
	var refusal *egress.Refusal
	if errors.As(err, &refusal) {
		return refusal.Error()
	}
	return err.Error()
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	if err := checkURL(c.url); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(c.content))
	if err != nil {
		return nil, unreadable(c.url, err)
	}
	if request.URL.Host == "" {
		return nil, fmt.Errorf("the url %q names no host", request.URL.Redacted())
	}
	request.URL.RawQuery = plainQuery(request.URL.RawQuery)
	if query := escaped(c.query); query != "" {
		request.URL.RawQuery = strings.TrimPrefix(request.URL.RawQuery+"&"+query, "&")
	}
	request.Header.Set("User-Agent", userAgent)
	for _, header := range c.headers {
		request.Header.Set(header[0], header[1])
		if strings.EqualFold(header[0], "Host") {
			request.Host = header[1]
		}
	}
	return request, nil
}

// checkURL refuses what could end the line of the request that the URL is part of.
func checkURL(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("the url is not valid UTF-8")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("the url holds a control character")
	}
	return nil
}

// unreadable says what is wrong with a URL, but for one that may hold a password: that shall not reach a log.
func unreadable(text string, err error) error {
	var parsing *url.Error
	if !errors.As(err, &parsing) {
		return err
	}
	if strings.Contains(text, "@") {
		return errors.New("the url cannot be read")
	}
	return fmt.Errorf("the url %q cannot be read: %w", text, parsing.Err)
}

// plainQuery escapes what may not stand in a request; Go does so in a path, but not here.
func plainQuery(query string) string {
	var plain strings.Builder
	for _, c := range []byte(query) {
		if c <= ' ' || c > '~' {
			fmt.Fprintf(&plain, "%%%02X", c)
		} else {
			plain.WriteByte(c)
		}
	}
	return plain.String()
}

func answerValue(response *http.Response, body []byte) tengo.Object {
	headers := make(map[string]tengo.Object, len(response.Header))
	for name, values := range response.Header {
		texts := make([]tengo.Object, len(values))
		for i, value := range values {
			texts[i] = &tengo.String{Value: value}
		}
		headers[name] = &tengo.Array{Value: texts}
	}
	return &tengo.ImmutableMap{Value: map[string]tengo.Object{
		"StatusCode":    &tengo.Int{Value: int64(response.StatusCode)},
		"Body":          &tengo.Bytes{Value: body},
		"ContentLength": &tengo.Int{Value: int64(len(body))},
		"Header":        &tengo.Map{Value: headers},
	}}
}
