package engine

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

// loopback are rules for egress that let programs call the servers of these tests.
func loopback() frame.Egress {
	return frame.Egress{Allow: frame.EgressRules{Networks: []string{"loopback"}}}
}

// connectToLoopback starts an executor that may call the servers of these tests.
func connectToLoopback(t *testing.T) *client {
	t.Helper()
	c := connect(t)
	c.configure(frame.ConfigureMeta{Egress: loopback()})
	return c
}

// echo answers with what it was asked, and acts on the path.
func echo(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Many"] = []string{"1", "2"}
		switch r.URL.Path {
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", 2000))
			return
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		case "/moved":
			http.Redirect(w, r, "/here", http.StatusFound)
			return
		case "/to":
			http.Redirect(w, r, r.URL.RawQuery, http.StatusFound)
			return
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s|%s|%s|%s|%s|%s", r.Method, r.URL.RequestURI(), r.Host,
			r.Header.Get("User-Agent"), r.Header.Get("Content-Type"), r.Header.Get("X-A"), body)
	}))
	t.Cleanup(server.Close)
	return server
}

// filled puts the server's address in the place of URL and of HOST.
func filled(source string, server *httptest.Server) string {
	source = strings.ReplaceAll(source, "URL", server.URL)
	return strings.ReplaceAll(source, "HOST", server.Listener.Addr().String())
}

func TestHTTPRequestsAreWhatTheProgramAsksFor(t *testing.T) {
	agent := "Selfhost-tengo-client/1.0"
	rows := []struct{ call, want string }{
		{`get("URL/a")`, "GET /a|HOST|" + agent + "|||"},
		{`get("URL/a?x=1", ["y=2", "z=a b&c", "k", "e=1=2"])`, "GET /a?x=1&y=2&z=a+b%26c&k=&e=1%3D2|HOST|" + agent + "|||"},
		{`get("URL/a", undefined, {"User-Agent": "me", "X-A": "1"})`, "GET /a|HOST|me||1|"},
		{`get("URL/a", immutable(["y=2"]), immutable({"Host": "other"}))`, "GET /a?y=2|other|" + agent + "|||"},
		{`get("URL/moved")`, "GET /here|HOST|" + agent + "|||"},
		{`post("URL/a")`, "POST /a|HOST|" + agent + "|||"},
		{`post("URL/a", ["y=2"], {"Content-Type": "text/plain"}, "body")`, "POST /a?y=2|HOST|" + agent + "|text/plain||body"},
		{`put("URL/a", undefined, undefined, bytes("body"))`, "PUT /a|HOST|" + agent + "|||body"},
		{`delete("URL/a", undefined, undefined, "body")`, "DELETE /a|HOST|" + agent + "|||body"},
		{`postform("URL/a", ["y=2 3", "z=4"])`, "POST /a|HOST|" + agent + "|application/x-www-form-urlencoded||y=2+3&z=4"},
		{`postform("URL/a", undefined, {"Content-Type": "own"})`, "POST /a|HOST|" + agent + "|own||"},
	}
	c, server := connectToLoopback(t), echo(t)
	for _, row := range rows {
		source := filled(fmt.Sprintf(`import("log").info("%%s", string(import("http").%s.Body))`, row.call), server)
		if got := c.prints(source); got != filled(row.want, server) {
			t.Errorf("%s\n gave %s\n  not %s", row.call, got, filled(row.want, server))
		}
	}
}

func TestAnHTTPAnswerIsAnImmutableMap(t *testing.T) {
	c, server := connectToLoopback(t), echo(t)
	got := c.prints(filled(`
a := import("http").get("URL/missing")
import("log").info("%v %v %v %v %v %v", a.StatusCode, is_bytes(a.Body), a.ContentLength == len(a.Body), a.ContentLength > 0,
	a.Header["X-Many"], is_immutable_map(a))`, server))
	if got != `404 true true true ["1", "2"] true` {
		t.Errorf("it logged %q", got)
	}
}

func TestWhatFailsOnTheWayIsAnErrorValue(t *testing.T) {
	c, server := connect(t), echo(t)
	limit, redirects := 1000, 3
	c.configure(frame.ConfigureMeta{MaxHTTPAnswerBytes: &limit, MaxHTTPRedirects: &redirects, Egress: loopback()})
	for url, want := range map[string]string{
		"http://127.0.0.1:1/": "connection refused",
		"ftp://127.0.0.1/":    "unsupported protocol scheme",
		"http://[":            "missing ']'",
		"URL/large":           "the answer is over 1000 bytes (limits.http_answer_bytes)",
		"URL/loop":            "more than 3 redirects (limits.http_redirects)",
		"URL/cut":             "unexpected EOF",
	} {
		got := c.prints(filled(fmt.Sprintf(`a := import("http").get(%q); import("log").info("%%v %%s", is_error(a), a.value)`, url), server))
		if !strings.HasPrefix(got, "true ") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestWrongArgumentsAreRuntimeErrorsThatNameThem(t *testing.T) {
	rows := []struct{ call, message string }{
		{`import("http").get()`, "wrong number of arguments in call to 'user-function:get'"},
		{`import("http").get("u", [], {}, "x")`, "wrong number of arguments in call to 'user-function:get'"},
		{`import("http").post("u", [], {}, "x", 1)`, "wrong number of arguments in call to 'user-function:post'"},
		{`import("http").get(1)`, "invalid type for argument 'url' in call to 'user-function:get': expected string, found int"},
		{`import("http").get(undefined)`, "invalid type for argument 'url' in call to 'user-function:get': expected string, found undefined"},
		{`import("http").get("u", "a=b")`, `invalid type for argument 'query_args' in call to 'user-function:get': expected array of "key=value" strings, found string`},
		{`import("http").get("u", ["a=b", 1])`, "invalid type for argument 'query_args[1]' in call to 'user-function:get': expected string, found int"},
		{`import("http").get("u", [], ["a"])`, "invalid type for argument 'headers' in call to 'user-function:get': expected map of strings, found array"},
		{`import("http").get("u", [], {a: 1})`, `invalid type for argument 'headers["a"]' in call to 'user-function:get': expected string, found int`},
		{`import("http").get("u", [], {"a b": "1"})`, `"a b" is not a valid header name`},
		{`import("http").get("u", [], {"a": "1\r\nb: 2"})`, `the value of header "a" holds a control character`},
		{`import("http").put("u", [], {}, 1)`, "invalid type for argument 'content' in call to 'user-function:put': expected string/bytes, found int"},
		{`import("http").toformdata()`, "wrong number of arguments in call to 'user-function:toformdata'"},
		{`import("log").info()`, "wrong number of arguments in call to 'user-function:info'"},
		{`import("log").info(1)`, "invalid type for argument 'format' in call to 'user-function:info': expected string, found int"},
		{`import("fmt").sprintf()`, "wrong number of arguments in call to 'user-function:sprintf'"},
		{`import("fmt").sprintf(1)`, "invalid type for argument 'format' in call to 'user-function:sprintf': expected string, found int"},
		{`import("fmt").println("x")`, "not callable: undefined"},
		{`import("times").sleep()`, "wrong number of arguments in call to 'user-function:sleep'"},
		{`import("times").sleep([])`, "invalid type for argument 'duration' in call to 'user-function:sleep': expected int(compatible), found array"},
		{`import("rand").intn(0)`, "rand.intn: the bound must be above zero"},
		{`import("rand").perm(-1)`, "rand.perm: the size must not be negative"},
		{`import("rand").rand()`, "wrong number of arguments in call to 'user-function:rand'"},
		{`import("rand").rand("x")`, "invalid type for argument 'seed' in call to 'user-function:rand': expected int(compatible), found string"},
	}
	c := connect(t)
	for _, row := range rows {
		got := c.run(row.call).failure(t)
		if got.Kind != "runtime" || got.Message != row.message || len(got.Stack) != 1 || !strings.HasPrefix(got.Stack[0], "main:1:") {
			t.Errorf("%s\n gave %s at %q\n  not %s", row.call, got.Message, got.Stack, row.message)
		}
	}
}

func TestFormDataIsEscaped(t *testing.T) {
	if got := connect(t).prints(`import("log").info(import("http").toformdata(["a=b c", "å=&", "k"]))`); got != "a=b+c&%C3%A5=%26&k=" {
		t.Errorf("it logged %q", got)
	}
}

func TestSprintfIsTengosOwn(t *testing.T) {
	got := connect(t).prints(`f := import("fmt"); log := import("log"); log.info(f.sprintf("%05d|%v|%s", 42, {a: [1]}, "x")); log.info(f.sprintf("100%"))`)
	if got != "00042|{a: [1]}|x\n100%" {
		t.Errorf("it logged %q", got)
	}
}

func TestASeedGivesTheSameNumbersAgainAndGeneratorsAreApart(t *testing.T) {
	c := connect(t)
	source := `r := import("rand"); r.seed(7); o := r.rand(7)
if r.int() != o.int() || r.float() != o.float() || r.perm(5) != o.perm(5) || r.intn(10) != o.intn(10) { o.fail() }
b := bytes(8); if r.read(b) != 8 || b == bytes(8) { o.fail() }
import("log").info("%d", o.int())`
	if first, second := c.prints(source), c.prints(source); first != second {
		t.Errorf("%s and %s", first, second)
	}
}

func TestTimesAreTengosOwnButForSleep(t *testing.T) {
	got := connect(t).prints(`t := import("times"); begin := t.now(); t.sleep(5 * t.millisecond); t.sleep(-1)
import("log").info("%v %s", t.since(begin) >= 5 * t.millisecond, t.time_format(t.in_location(t.date(2025, 7, 1, 12, 0, 0, 0, "UTC"), "Europe/Stockholm"), "15:04 MST"))`)
	if got != "true 14:00 CEST" {
		t.Errorf("it logged %q", got)
	}
}

func TestJSONOfManyBracketsIsAnErrorValueAndNoCrash(t *testing.T) {
	got := connect(t).prints(`
json := import("json"); text := import("text"); log := import("log")
for s in [text.repeat("[", 1000000), bytes(text.repeat("{\"a\":", 1000000)), text.repeat("[", 9000) + text.repeat("]", 9000)] {
	v := json.decode(s); log.info("%v", is_error(v) ? v.value : len(v))
}
log.info("%v", json.decode("{\"a\": \"[[\\\"{\", \"b\": [1, {}]}").b)`)
	deep := "\"JSON is nested deeper than 10000 levels\"\n"
	if got != deep+deep+"1\n[1, {}]" {
		t.Errorf("it logged %q", got)
	}
}

func TestAWebhookSeesItsRequest(t *testing.T) {
	request := frame.Request{
		Method: "PUT", Path: "/a/b", Query: "x=1&y", Remote: "127.0.0.1",
		Headers: map[string]string{"Content-Type": "text/plain", "X-A": "å"},
	}
	done := connect(t).answer(`r := import("cgi").request; h := r.headers(); h.mine = true
import("log").info("%s %s %s %s %v %v %s", r.method(), r.path(), r.query(), r.remote(), h["X-A"], is_bytes(r.body()), string(r.body()))
import("log").info("%v", r.headers().mine)`, request, "the body")
	if got := done.messages(); got != "PUT /a/b x=1&y 127.0.0.1 \"å\" true the body\n<undefined>" {
		t.Errorf("it logged %q", got)
	}
	if done.Response.Status != 200 || len(done.Response.Headers) != 0 || done.body != "" {
		t.Errorf("an empty answer is %+v, %q", done.Response, done.body)
	}
}

func TestAWebhookAnswers(t *testing.T) {
	done := connect(t).answer(`cgi := import("cgi"); r := cgi.response
r.status(418); r.headers("Content-Type", "text/plain"); n := r.write("å") + r.write(cgi.request.body())
r.headers("Set-Cookie", "a=1"); r.headers("Set-Cookie", "b=2"); r.write(string(n))`, frame.Request{}, "\x00\xff")
	want := [][2]string{{"Content-Type", "text/plain"}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}}
	if done.Response.Status != 418 || !slices.Equal(done.Response.Headers, want) || done.body != "å\x00\xff4" {
		t.Errorf("%+v, %q", done.Response, done.body)
	}
}

func TestAnAnswerThatCannotBeIsARuntimeError(t *testing.T) {
	c := connect(t)
	for call, message := range map[string]string{
		`r.status(100)`:                 "cgi.response.status: a status is a number from 200 to 599, not 100",
		`r.status(600)`:                 "cgi.response.status: a status is a number from 200 to 599, not 600",
		`r.status("200")`:               "invalid type for argument 'status' in call to 'user-function:status': expected int, found string",
		`r.write("x"); r.status(200)`:   "cgi.response.status: the body has begun; set the status before the first write",
		`r.headers("A")`:                "wrong number of arguments in call to 'user-function:headers'",
		`r.headers("A", 1)`:             "invalid type for argument 'value' in call to 'user-function:headers': expected string, found int",
		`r.headers("A:", "1")`:          `cgi.response.headers: "A:" is not a valid header name`,
		`r.headers("", "1")`:            `cgi.response.headers: "" is not a valid header name`,
		`r.headers("A", "1\nB: 2")`:     `cgi.response.headers: the value of header "A" holds a control character`,
		`r.write(1)`:                    "invalid type for argument 'content' in call to 'user-function:write': expected string/bytes, found int",
		`import("cgi").request.body(1)`: "wrong number of arguments in call to 'user-function:body'",
	} {
		done := c.answer("r := import(\"cgi\").response\n"+call, frame.Request{}, "")
		if got := done.failure(t); got.Kind != "runtime" || got.Message != message || done.Response != nil || done.body != "" {
			t.Errorf("%s: %+v, %+v", call, done, got)
		}
	}
}

func TestWithoutARequestThereIsNoCGI(t *testing.T) {
	c := connect(t)
	for _, call := range strings.Fields(`request.body() request.headers() request.method() response.status(200) response.write("x") response.headers("A","b")`) {
		if got := c.run(`import("cgi").` + call).failure(t).Message; got != "cgi: this run has no request" {
			t.Errorf("%s: %s", call, got)
		}
	}
}

func TestWithoutAConfigurationOnlyThePublicNetworkCanBeCalled(t *testing.T) {
	got := connect(t).prints(`a := import("http").get("http://127.0.0.1:8095/"); import("log").info("%v %s", is_error(a), a.value)`)
	if got != "true calling 127.0.0.1:8095 is not allowed: loopback addresses are not among egress.allow.networks" {
		t.Error(got)
	}
}

func TestARedirectGetsNoFurtherThanACall(t *testing.T) {
	c, server := connect(t), echo(t)
	rules := loopback()
	rules.Deny.Hosts = []string{"localhost"}
	c.configure(frame.ConfigureMeta{Egress: rules})
	for to, want := range map[string]string{
		"http://localhost:1/":        "calling localhost:1 is not allowed: host localhost is among egress.deny.hosts",
		"http://169.254.169.254/":    "calling 169.254.169.254:80 is not allowed: cloud metadata addresses are never allowed",
		"http://[::ffff:10.0.0.1]/":  "calling 10.0.0.1:80 is not allowed: private addresses are not among egress.allow.networks",
		"http://x@10.0.0.1:8080/a?b": "calling 10.0.0.1:8080 is not allowed: private addresses are not among egress.allow.networks",
	} {
		source := filled(fmt.Sprintf(`import("log").info("%%s", import("http").get("URL/to?%s").value)`, to), server)
		if got := c.prints(source); got != want {
			t.Errorf("to %s\n gave %s\n  not %s", to, got, want)
		}
	}
}

func TestAnExecutorWithRulesThatCannotBeReadEnds(t *testing.T) {
	c := connect(t)
	c.configure(frame.ConfigureMeta{Egress: frame.Egress{Allow: frame.EgressRules{Networks: []string{"nowhere"}}}})
	if err := c.streamEnds(); err == nil || !strings.Contains(err.Error(), "egress.allow.networks") {
		t.Error(err)
	}
}

func TestARunMayMakeSoManyCalls(t *testing.T) {
	c, server := connect(t), echo(t)
	calls := 3
	c.configure(frame.ConfigureMeta{MaxHTTPCalls: &calls, Egress: loopback()})
	source := filled(`http := import("http"); for i := 0; i < 4; i++ { import("log").info("%d", http.get("URL/").StatusCode) }`, server)
	for range 2 { // a run starts anew
		got := c.run(source)
		if failed := got.failure(t); failed.Kind != "runtime" || failed.Message != "a run may make 3 http calls (limits.http_calls)" {
			t.Errorf("%+v", failed)
		}
		if got.messages() != "200\n200\n200" {
			t.Errorf("it logged %q", got.messages())
		}
	}
}

func TestCallsWaitForTheirTurnNoLongerThanTheirRun(t *testing.T) {
	c, parallel := connect(t), 1
	c.configure(frame.ConfigureMeta{MaxHTTPParallel: &parallel, Egress: loopback()})
	arrived, release := make(chan string, 3), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		<-release
	}))
	defer server.Close()
	defer close(release)
	first, second := filled(`import("http").get("URL/first")`, server), filled(`import("http").get("URL/second")`, server)
	c.compiles(first)
	c.compiles(second)
	holding := c.start(first, 60_000, nil, "")
	if path := <-arrived; path != "/first" {
		t.Fatal(path)
	}
	if done := c.finish(c.start(second, 50, nil, "")); done.Outcome != "timed_out" {
		t.Errorf("%+v", done)
	}
	last := c.start(second, 60_000, nil, "")
	release <- struct{}{}
	if done := c.finish(holding); done.Outcome != "succeeded" {
		t.Errorf("%+v", done)
	}
	release <- struct{}{}
	if done := c.finish(last); done.Outcome != "succeeded" {
		t.Errorf("%+v", done)
	}
	if path := <-arrived; path != "/second" || len(arrived) > 0 {
		t.Errorf("%s came, and %d more", path, len(arrived))
	}
}

func TestMonstrousInputIsRefusedBeforeItCostsAnything(t *testing.T) {
	c, stringBytes, elementsMost := connect(t), 1<<20, 100_000
	c.configure(frame.ConfigureMeta{MaxStringBytes: &stringBytes, MaxElements: &elementsMost})
	setup := `text := import("text"); rand := import("rand"); json := import("json"); fmt := import("fmt"); hex := import("hex")
base64 := import("base64"); times := import("times"); math := import("math"); log := import("log")
large := text.repeat("a ", 1 << 19); brackets := text.repeat("[", 9000) + text.repeat("]", 9000)
`
	elements := "an array or map may have 100000 elements (limits.elements)"
	matches := "the matches of a regular expression may have 100000 elements (limits.elements)"
	strings, bytes := "exceeding string size limit (limits.string_bytes)", "exceeding bytes size limit (limits.string_bytes)"
	for call, want := range map[string]string{
		`rand.perm(1000000000)`:                     "memory: " + elements,
		`rand.rand(1).perm(1000000000)`:             "memory: " + elements,
		`text.split(large, " ")`:                    "memory: " + elements,
		`text.split(large, "")`:                     "memory: " + elements,
		`text.split_after_n(large, "a", 300000)`:    "memory: " + elements,
		`text.fields(large)`:                        "memory: " + elements,
		`text.re_split(" ", large)`:                 "memory: " + elements,
		`text.re_compile("").split(large)`:          "memory: " + elements,
		`text.re_find("a", large, -1)`:              "memory: " + matches,
		`text.re_compile("(a)( )").find(large, -1)`: "memory: " + matches,
		`text.re_replace("", large, "x")`:           "memory: " + matches,
		`text.re_replace("a+", text.repeat("a", 100000), text.repeat("$0", 100))`: "memory: " + strings,
		`text.re_replace("a", "aaa", large)`:                                      "memory: " + strings,
		`text.replace(large, "a", large, -1)`:                                     "memory: " + strings,
		`text.repeat(large, 1 << 62)`:                                             "memory: " + strings,
		`text.repeat("ab", (1 << 62) + 1)`:                                        "memory: " + strings,
		`text.pad_left("", 1 << 60, "ab")`:                                        "memory: " + strings,
		`text.pad_right("", (1 << 20) + 1)`:                                       "memory: " + strings,
		`text.join([large, large], "")`:                                           "memory: " + strings,
		`text.quote(text.repeat("\x00", 1 << 20))`:                                "memory: " + strings,
		`text.format_float(1.5, "f", 1 << 40, 64)`:                                "memory: " + strings,
		`hex.encode(bytes(large))`:                                                "memory: " + strings,
		`base64.encode(bytes(large))`:                                             "memory: " + strings,
		`json.encode([large, large])`:                                             "memory: " + bytes,
		`json.encode(text.repeat("\x00", 1 << 18))`:                               "memory: " + bytes,
		`json.encode(bytes(large))`:                                               "memory: " + bytes,
		`json.indent(brackets, "", " ")`:                                          "memory: " + bytes,
		`json.indent(brackets, "", large)`:                                        "memory: " + bytes,
		`json.indent("[1]", large, "")`:                                           "memory: " + bytes,
		`json.html_escape(text.repeat("<", 1 << 19))`:                             "memory: " + bytes,
		`json.decode("[" + text.repeat("1,", 200000) + "1]")`:                     "memory: decoded JSON may have 100000 elements (limits.elements)",
		`json.decode("[" + text.repeat("{},", 200000) + "{}]")`:                   "memory: decoded JSON may have 100000 elements (limits.elements)",
		`json.decode("\"" + text.repeat("\xff", 1 << 19) + "\"")`:                 "memory: " + strings,
		`fmt.sprintf("%*d%*d%*d%*d%*d%*d%*d%*d%*d", 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1, 1000000, 1)`: "memory: " + strings,
		`fmt.sprintf(text.repeat("%[1]", 100000), 1)`:       "runtime: a format may number 1000 arguments",
		`format(text.repeat("%[", 400000), 1)`:              "runtime: a format may number 1000 arguments",
		`log.info(text.repeat("%[", 400000), 1)`:            "runtime: a format may number 1000 arguments",
		`math.jn(1 << 60, 0.5)`:                             "runtime: the order must be from -1000000 to 1000000",
		`math.yn(-(1 << 60), 0.5)`:                          "runtime: the order must be from -1000000 to 1000000",
		`times.parse(large, large)`:                         "runtime: the text of a time, a layout or a place may have 4096 bytes",
		`text.repeat("x", -1)`:                              "runtime: text.repeat: the count must not be negative",
		`text.format_float(1.5, "", 1, 64)`:                 "runtime: text.format_float: the format must be one of b e E f g G x X",
		`text.format_float(1.5, "f", 1, 63)`:                "runtime: text.format_float: the bits must be 32 or 64",
		`text.format_int(1, 1)`:                             "runtime: text.format_int: the base must be from 2 to 36",
		`import("http").get("http://a/", [large, large])`:   "memory: " + strings,
		`import("http").get("http://a/", [], {"A": large})`: "runtime: the headers of a call may have 65536 bytes",
	} {
		begin := time.Now()
		got := c.run(setup + call)
		if got.Error == nil {
			t.Errorf("%s is not refused", call)
			continue
		}
		failed := got.failure(t)
		if text := failed.Kind + ": " + failed.Message; text != want {
			t.Errorf("%s\n gave %s\n  not %s", call, text, want)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s took %v", call, took)
		}
	}
}

func TestNoFormatRevealsAnAddress(t *testing.T) {
	got := connect(t).prints(`fmt := import("fmt"); log := import("log"); f := func() {}
for value in [f, log.info, [f], {a: f}, error(f), undefined, "x", 1, 1.5, 'c', bytes("b"), import("times").unix(0, 0)] {
	for verb in ["%p", "%#p", "%+v", "%#v", "%x", "%T", "%s", "%d", "%w", "%[1]*d"] { log.info("%s", fmt.sprintf(verb, value)) }
}`)
	if found := regexp.MustCompile(`0xc0[0-9a-f]{6,}|c0[0-9a-f]{8,}`).FindString(got); found != "" {
		t.Errorf("%s in %s", found, got)
	}
}

func TestALogLineOfEightMegabytesIsCut(t *testing.T) {
	got := connect(t).prints(`log := import("log"); s := import("text").repeat("x", 8 << 20); log.info("short"); log.info(s); log.info("%s", s); log.info("x")`)
	if got != "short\nthe log is cut here: a run may log 1000 lines (limits.log_lines) and 262144 bytes (limits.log_bytes)" {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	c := connect(t)
	most := 1000
	c.configure(frame.ConfigureMeta{MaxAnswerBytes: &most})
	for call, want := range map[string]string{
		`for { r.write("0123456789") }`:                       "the answer is too large: its body may have 1000 bytes (limits.answer_bytes)",
		`r.write(bytes(1001))`:                                "the answer is too large: its body may have 1000 bytes (limits.answer_bytes)",
		`for i := 0; true; i++ { r.headers("A", string(i)) }`: "the answer is too large: its headers may have 65536 bytes",
		`for { r.headers("A", "") }`:                          "the answer is too large: its headers may have 65536 bytes",
	} {
		done := c.answer("r := import(\"cgi\").response\n"+call, frame.Request{}, "")
		if got := done.failure(t); got.Kind != "output" || got.Message != want || done.body != "" {
			t.Errorf("%s: %+v", call, got)
		}
	}
}

func TestWrongArgumentsOfEveryCGIFunctionAreRuntimeErrors(t *testing.T) {
	c := connect(t)
	for call, message := range map[string]string{
		`request.method(1)`:               "wrong number of arguments in call to 'user-function:method'",
		`request.path(1)`:                 "wrong number of arguments in call to 'user-function:path'",
		`request.query(1)`:                "wrong number of arguments in call to 'user-function:query'",
		`request.remote(1)`:               "wrong number of arguments in call to 'user-function:remote'",
		`request.headers(1)`:              "wrong number of arguments in call to 'user-function:headers'",
		`request.body(1)`:                 "wrong number of arguments in call to 'user-function:body'",
		`response.status()`:               "wrong number of arguments in call to 'user-function:status'",
		`response.status(200, 1)`:         "wrong number of arguments in call to 'user-function:status'",
		`response.status(200.0)`:          "invalid type for argument 'status' in call to 'user-function:status': expected int, found float",
		`response.status([200])`:          "invalid type for argument 'status' in call to 'user-function:status': expected int, found array",
		`response.status(undefined)`:      "invalid type for argument 'status' in call to 'user-function:status': expected int, found undefined",
		`response.headers()`:              "wrong number of arguments in call to 'user-function:headers'",
		`response.headers("A", "b", "c")`: "wrong number of arguments in call to 'user-function:headers'",
		`response.headers(1, "b")`:        "invalid type for argument 'key' in call to 'user-function:headers': expected string, found int",
		`response.headers({A: "b"}, "c")`: "invalid type for argument 'key' in call to 'user-function:headers': expected string, found map",
		`response.headers("A", ["b"])`:    "invalid type for argument 'value' in call to 'user-function:headers': expected string, found array",
		`response.headers("A", "\x00")`:   `cgi.response.headers: the value of header "A" holds a control character`,
		`response.headers("A", "\xff")`:   `cgi.response.headers: the value of header "A" is not valid UTF-8`,
		`response.headers("A\r\n", "b")`:  `cgi.response.headers: "A\r\n" is not a valid header name`,
		`response.headers("É", "b")`:      `cgi.response.headers: "É" is not a valid header name`,
		`response.write()`:                "wrong number of arguments in call to 'user-function:write'",
		`response.write("a", "b")`:        "wrong number of arguments in call to 'user-function:write'",
		`response.write(undefined)`:       "invalid type for argument 'content' in call to 'user-function:write': expected string/bytes, found undefined",
		`response.write(["a"])`:           "invalid type for argument 'content' in call to 'user-function:write': expected string/bytes, found array",
	} {
		done := c.answer("import(\"cgi\")."+call, frame.Request{}, "")
		if got := done.failure(t); got.Kind != "runtime" || got.Message != message || done.Response != nil {
			t.Errorf("%s: %+v", call, got)
		}
	}
}
