package modules

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/d5/tengo/v2"
	tengojson "github.com/d5/tengo/v2/stdlib/json"

	"selfhost/libtengo/internal/frame"
)

// mustBehave calls a function, and fails the test if it does what no arguments may make it do.
func mustBehave(t *testing.T, run *Run, path string, args ...tengo.Object) {
	t.Helper()
	if wrong := fault(callable(t, run, path), args); wrong != "" {
		t.Errorf("%s(%s): %s", path, shown(args), wrong)
	}
}

func text(s string) tengo.Object {
	return &tengo.String{Value: s}
}

func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, 2.5, "é\u0000\ud83d\ude00", null, true, {}, []], "b": -1e-9}`, `[[[[`, `"\`, "\"\xff\"", `[,]`, `1e999`, ` {"a":{"a":1,"a":2}} `,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		run := newRun(t)
		mustBehave(t, run, "json.decode", text(source))
		mustBehave(t, run, "json.html_escape", text(source))
		mustBehave(t, run, "json.indent", text(source), text(">"), text("  "))
		if value, err := callable(t, run, "json.decode").Call(text(source)); err == nil {
			mustBeEncodedAsByTengo(t, value)
		}
		mustBeMeasured(t, source)
	})
}

// mustBeEncodedAsByTengo compares what both encoders make of a value, once it is decoded again, since Tengo's has no order.
func mustBeEncodedAsByTengo(t *testing.T, value tengo.Object) {
	t.Helper()
	if _, isError := value.(*tengo.Error); isError {
		return
	}
	ours, err := encodeJSON(value)
	if err != nil {
		return // too long
	}
	encoded, isBytes := ours.(*tengo.Bytes)
	theirs, err := tengojson.Encode(value)
	if err != nil || !isBytes {
		if err == nil || isBytes {
			t.Errorf("ours: %v, Tengo's: %v", ours, err)
		}
		return
	}
	var a, b any
	if json.Unmarshal(encoded.Value, &a) != nil || json.Unmarshal(theirs, &b) != nil {
		t.Fatalf("one of %q and %q is no JSON", encoded.Value, theirs)
	}
	first, _ := json.Marshal(a)
	second, _ := json.Marshal(b)
	if !bytes.Equal(first, second) {
		t.Errorf("%s is not %s", first, second)
	}
}

// mustBeMeasured compares what is foretold of an indented text with what Go makes of it.
func mustBeMeasured(t *testing.T, source string) {
	t.Helper()
	trimmed := bytes.TrimSpace([]byte(source))
	var indented bytes.Buffer
	if json.Indent(&indented, trimmed, "ppp", "ii") != nil {
		return
	}
	m := measureJSON(trimmed)
	if foretold := len(trimmed) - m.spaces + m.colons + m.lines*len("\nppp") + m.indents*len("ii"); foretold != indented.Len() {
		t.Errorf("%q has %d bytes when it is indented, not %d", source, indented.Len(), foretold)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a,b,é", ",", "(a)?b|c", 2)
	f.Add("", "", "", -1)
	f.Add("\xff\xfe", "é", "^|$", 1<<40)
	f.Add("aaaa", "a", "$0$1${x}$$", -1<<63)
	f.Add("aaaa", "a", "((a*)*)*b", 3)
	f.Fuzz(func(t *testing.T, a, b, c string, n int) {
		run := newRun(t)
		for _, name := range []string{
			"contains_any", "index_any", "last_index_any", "trim", "trim_left", "trim_right", "split", "split_after",
			"re_match", "re_find", "re_split", "compare", "equal_fold",
		} {
			mustBehave(t, run, "text."+name, text(a), text(b))
		}
		for _, name := range []string{"split_n", "split_after_n", "re_find", "re_split"} {
			mustBehave(t, run, "text."+name, text(a), text(b), number(n))
		}
		for _, name := range []string{"fields", "title", "to_upper", "quote", "unquote", "atoi", "re_compile"} {
			mustBehave(t, run, "text."+name, text(a))
		}
		mustBehave(t, run, "text.re_replace", text(a), text(b), text(c))
		mustBehave(t, run, "text.replace", text(a), text(b), text(c), number(n))
		mustBehave(t, run, "text.repeat", text(a), number(n))
		mustBehave(t, run, "text.substr", text(a), number(n), number(-n))
		mustBehave(t, run, "text.pad_left", text(a), number(n), text(b))
		mustBehave(t, run, "text.pad_right", text(a), number(n), text(b))
		mustBehave(t, run, "text.format_float", &tengo.Float{Value: float64(n) / 3}, text(a), number(n), number(64))
		mustBehave(t, run, "text.format_int", number(n), number(n))
		mustBehave(t, run, "text.parse_int", text(a), number(n), number(n))
		mustBehave(t, run, "times.parse", text(a), text(b))
		mustBehave(t, run, "times.time_format", number(n), text(a))
		mustBehave(t, run, "times.in_location", number(n), text(a))
	})
}

func FuzzHTTPArguments(f *testing.F) {
	f.Add("http://a.example/b?c=d#e", "f=g", "H", "i", []byte("j"))
	f.Add("http://user:secret@[::1]:80/%00", "=", "Host", "a:b@c", []byte{})
	f.Add("http:opaque", "\xff", "Content-Length", "-1", []byte("\x00"))
	f.Add("https://\xff/ \r\n", "a\nb", "A\r\nB", "c\r\nd", []byte("x"))
	f.Fuzz(func(t *testing.T, url, pair, name, value string, content []byte) {
		run := newRun(t)
		query := &tengo.Array{Value: []tengo.Object{text(pair)}}
		headers := &tengo.Map{Value: map[string]tengo.Object{name: text(value)}}
		for _, function := range []string{"get", "postform"} {
			mustBehave(t, run, "http."+function, text(url), query, headers)
		}
		for _, function := range []string{"post", "put", "delete"} {
			mustBehave(t, run, "http."+function, text(url), query, headers, &tengo.Bytes{Value: content})
		}
		mustBehave(t, run, "http.toformdata", query)
	})
}

func FuzzCGI(f *testing.F) {
	f.Add(200, "Content-Type", "text/plain", []byte("body"))
	f.Add(99, "", "\r\n", []byte{})
	f.Add(599, "A:", "\xff", []byte("\x00"))
	f.Fuzz(func(t *testing.T, status int, name, value string, body []byte) {
		run := newRun(t)
		mustBehave(t, run, "cgi.response.status", number(status))
		mustBehave(t, run, "cgi.response.headers", text(name), text(value))
		mustBehave(t, run, "cgi.response.write", &tengo.Bytes{Value: body})
		mustBehave(t, run, "cgi.response.write", text(value))
		mustBehave(t, run, "cgi.response.status", number(status))
		mustBeAnAnswer(t, run.Answer.Response(), run.Answer.Body)
	})
}

// mustBeAnAnswer fails the test if what a program has answered would not be one message of HTTP.
func mustBeAnAnswer(t *testing.T, response *frame.Response, body []byte) {
	t.Helper()
	if response.Status < 200 || response.Status > 599 {
		t.Errorf("the status is %d", response.Status)
	}
	for _, header := range response.Headers {
		if bytes.ContainsAny([]byte(header[0]+header[1]), "\r\n\x00") || header[0] == "" || bytes.ContainsAny([]byte(header[0]), ": ") {
			t.Errorf("a header is %q", header)
		}
	}
	if len(body) > testStringBytes {
		t.Errorf("the body has %d bytes", len(body))
	}
}

func FuzzSprintf(f *testing.F) {
	f.Add("%5.2f|%-10s|%[2]*[1]d|%x|%q|%U|%c|%T|%v|%%|%!", "text", 5, 1.5)
	f.Add("%*.*d%[", "", 1_000_000, -1.0)
	f.Add("%999999.999999x% #+-0v", "\xff", -1_000_000, 1e300)
	f.Fuzz(func(t *testing.T, format, a string, n int, x float64) {
		run := newRun(t)
		values := []tengo.Object{
			text(format), text(a), number(n), &tengo.Float{Value: x}, &tengo.Bytes{Value: []byte(a)},
			&tengo.Array{Value: []tengo.Object{text(a), number(n)}}, tengo.UndefinedValue, &tengo.Char{Value: rune(n)},
		}
		for count := range values {
			mustBehave(t, run, "fmt.sprintf", values[:count+1]...)
			mustBehave(t, run, "log.info", values[:count+1]...)
			mustBehave(t, run, "fmt.sprintf", append([]tengo.Object{text(format)}, values[count:]...)...)
		}
	})
}
