package engine

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"selfhost/libtengo/internal/frame"
)

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestACallMayBeEncrypted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s over TLS: %v", r.Method, r.TLS != nil)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	source := filled(`a := import("http").get("URL/"); import("log").info("%s", is_error(a) ? a.value : string(a.Body))`, server)

	trusting, rules := connect(t), loopback()
	rules.CertificatesPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	trusting.configure(frame.ConfigureMeta{Egress: rules})
	if got := trusting.prints(source); got != "GET over TLS: true" {
		t.Error(got)
	}
	if got := connectToLoopback(t).prints(source); !strings.Contains(got, "certificate") {
		t.Errorf("a stranger's certificate: %s", got)
	}
}

func TestBodiesMayBeBinaryOrEmptyOrPacked(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			packer := gzip.NewWriter(w)
			_, _ = packer.Write(body)
			_ = packer.Close()
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = w.Write(body)
		}
	})
	source := filled(`http := import("http"); binary := bytes("\x00\xff\r\n\x80"); log := import("log")
a := http.post("URL/", undefined, undefined, binary); log.info("%v %d", a.Body == binary, a.ContentLength)
b := http.put("URL/packed", undefined, undefined, binary); log.info("%v %d %v", b.Body == binary, b.ContentLength, b.Header["Content-Encoding"])
c := http.delete("URL/none"); log.info("%d %v %d", c.StatusCode, c.Body == bytes(""), c.ContentLength)
d := http.post("URL/", undefined, undefined, ""); log.info("%v %d", d.Body == bytes(""), d.ContentLength)
e := http.get("URL/packed", undefined, {"Accept-Encoding": "gzip"}); log.info("%v", e.Header["Content-Encoding"])`, server)
	want := "true 5\ntrue 5 <undefined>\n204 true 0\ntrue 0\n[\"gzip\"]"
	if got := connectToLoopback(t).prints(source); got != want {
		t.Errorf("it logged %s\n      not %s", got, want)
	}
}

func TestAPackedAnswerCountsUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, _ = packer.Write(make([]byte, 10<<20))
	_ = packer.Close()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	got := connectToLoopback(t).prints(filled(`import("log").info("%s", import("http").get("URL/bomb").value)`, server))
	if got != filled(`GET "URL/bomb": the answer is over 8388608 bytes (limits.http_answer_bytes)`, server) {
		t.Error(got)
	}
}

func TestHeadersOfAnAnswerAreBounded(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 1<<20))
	})
	got := connectToLoopback(t).prints(filled(`import("log").info("%s", import("http").get("URL/").value)`, server))
	if !strings.Contains(got, "headers exceeded") {
		t.Error(got)
	}
}

func TestCredentialsAreNotTakenToAnotherHost(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			fmt.Fprintf(w, "%q", []string{
				r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("Proxy-Authorization"), r.Header.Get("X-A"),
			})
			return
		}
		_, port, _ := net.SplitHostPort(r.Host)
		http.Redirect(w, r, "http://"+r.URL.RawQuery+":"+port+"/there", http.StatusTemporaryRedirect)
	})
	c := connectToLoopback(t)
	call := `import("log").info("%%s", string(import("http").post("URL/?%s", undefined, {
	"Authorization": "Basic x", "Cookie": "a=b", "Proxy-Authorization": "Basic y", "X-A": "kept"}, "body").Body))`
	for host, want := range map[string]string{
		"127.0.0.1": `["Basic x" "a=b" "Basic y" "kept"]`,
		"localhost": `["" "" "" "kept"]`,
	} {
		if got := c.prints(filled(fmt.Sprintf(call, host), server)); got != want {
			t.Errorf("redirected to %s it had %s", host, got)
		}
	}
}

func TestURLsAreMadePlainOrRefused(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	c := connectToLoopback(t)
	for url, want := range map[string]string{
		`URL/a b?c d=é&e=%20`:             `/a%20b?c%20d=%C3%A9&e=%20`,
		`URL`:                             `/`,
		`URL/?a#b`:                        `/?a`,
		`URL/\x00`:                        `the url holds a control character`,
		`URL/?a\r\nX: b`:                  `the url holds a control character`,
		`URL/\u0085`:                      `the url holds a control character`,
		`URL/\xff`:                        `the url is not valid UTF-8`,
		`http://a b/`:                     `the url "http://a b/" cannot be read: invalid character " " in host name`,
		`http://[`:                        `the url "http://[" cannot be read: missing ']' in host`,
		`http://user:secret@[`:            `the url cannot be read`,
		`http://user:se/cret@127.0.0.1`:   `the url cannot be read`,
		`http://user:secret@127.0.0.1:1/`: `Get "http://user:***@127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused`,
		`ftp://user:secret@127.0.0.1/`:    `Get "ftp://user:***@127.0.0.1/": unsupported protocol scheme "ftp"`,
		``:                                `the url "" names no host`,
		`/a`:                              `the url "/a" names no host`,
	} {
		source := fmt.Sprintf(`a := import("http").get("%s"); import("log").info("%%s", is_error(a) ? a.value : string(a.Body))`, url)
		if got := c.prints(filled(source, server)); got != want {
			t.Errorf("%s\n gave %s\n  not %s", url, got, want)
		}
	}
}

func TestAPasswordInAnAnswersErrorIsHidden(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
	})
	source := filled(`import("log").info("%s", import("http").get("http://user:secret@HOST/").value)`, server)
	if got := connectToLoopback(t).prints(source); strings.Contains(got, "secret") || !strings.Contains(got, "unexpected EOF") {
		t.Error(got)
	}
}

func TestHeadersThatWouldEndTheirLineAreRefused(t *testing.T) {
	c := connectToLoopback(t)
	for headers, want := range map[string]string{
		`{"A": "b\r\nC: d"}`: `the value of header "A" holds a control character`,
		`{"A": "b\x00"}`:     `the value of header "A" holds a control character`,
		`{"A": "\xff"}`:      `the value of header "A" is not valid UTF-8`,
		`{"A\nB": "c"}`:      `"A\nB" is not a valid header name`,
		`{"": "c"}`:          `"" is not a valid header name`,
		`{"É": "c"}`:         `"É" is not a valid header name`,
		`{"Host": "a\r\nb"}`: `the value of header "Host" holds a control character`,
	} {
		for _, function := range strings.Fields("get post put delete postform") {
			got := c.run(fmt.Sprintf(`import("http").%s("http://127.0.0.1:1/", undefined, %s)`, function, headers)).failure(t)
			if got.Kind != "runtime" || got.Message != want {
				t.Errorf("%s with %s: %+v", function, headers, got)
			}
		}
	}
}

func TestWrongArgumentsOfEveryHTTPFunctionAreRuntimeErrors(t *testing.T) {
	c := connect(t)
	for _, function := range strings.Fields("get post put delete postform") {
		most := map[string]int{"get": 3, "postform": 3}[function]
		if most == 0 {
			most = 4
		}
		rows := map[string]string{
			``: "wrong number of arguments",
			strings.TrimSuffix(strings.Repeat(`"u", `, most+1), ", "): "wrong number of arguments",
			`undefined`:               "invalid type for argument 'url'",
			`bytes("u")`:              "invalid type for argument 'url'",
			`["u"]`:                   "invalid type for argument 'url'",
			`"u", "a=b"`:              "invalid type for argument 'query_args'",
			`"u", {a: "b"}`:           "invalid type for argument 'query_args'",
			`"u", ["a=b", ["c=d"]]`:   "invalid type for argument 'query_args[1]'",
			`"u", [undefined]`:        "invalid type for argument 'query_args[0]'",
			`"u", [], "A: b"`:         "invalid type for argument 'headers'",
			`"u", [], [["A", "b"]]`:   "invalid type for argument 'headers'",
			`"u", [], {A: ["b"]}`:     `invalid type for argument 'headers["A"]'`,
			`"u", [], {A: undefined}`: `invalid type for argument 'headers["A"]'`,
		}
		if most == 4 {
			rows[`"u", [], {}, 1`] = "invalid type for argument 'content'"
			rows[`"u", [], {}, ["x"]`] = "invalid type for argument 'content'"
			rows[`"u", [], {}, {a: "x"}`] = "invalid type for argument 'content'"
		}
		for args, want := range rows {
			got := c.run(fmt.Sprintf(`import("http").%s(%s)`, function, args)).failure(t)
			if got.Kind != "runtime" || !strings.HasPrefix(got.Message, want) {
				t.Errorf("%s(%s): %+v", function, args, got)
			}
		}
	}
	for args, want := range map[string]string{
		``: "wrong number of arguments", `[], []`: "wrong number of arguments", `"a=b"`: "invalid type for argument 'query_args'",
		`{a: "b"}`: "invalid type for argument 'query_args'", `[1]`: "invalid type for argument 'query_args[0]'",
	} {
		got := c.run(fmt.Sprintf(`import("http").toformdata(%s)`, args)).failure(t)
		if got.Kind != "runtime" || !strings.HasPrefix(got.Message, want) {
			t.Errorf("toformdata(%s): %+v", args, got)
		}
	}
}
