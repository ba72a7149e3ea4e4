package engine

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

func TestAPingIsAnsweredWithWhatIsGoingOn(t *testing.T) {
	c := connect(t)
	source := `import("times").sleep(3600000000000)`
	c.compiles(source)
	c.start(source, 60_000, nil, "")
	c.send(frame.Frame{Kind: frame.Ping, ID: 99})
	var pong frame.PongMeta
	f := c.expect(frame.Pong, &pong)
	if f.ID != 99 || pong.Runs != 1 || pong.Goroutines < 2 || pong.HeapBytes < 1 {
		t.Errorf("%d: %+v", f.ID, pong)
	}
}

func TestTheEndOfTheStreamEndsAllRuns(t *testing.T) {
	c := connect(t)
	for _, source := range []string{"for true {}", `import("times").sleep(3600000000000)`} {
		c.compiles(source)
		c.start(source, 60_000, nil, "")
	}
	begin := time.Now()
	c.conn.Close()
	err := <-c.served
	c.served <- nil // for the clean-up
	if err != nil || time.Since(begin) > time.Second {
		t.Errorf("it ended with %v after %v", err, time.Since(begin))
	}
}

func TestAStreamOfSomethingElseIsRefused(t *testing.T) {
	compile := mustMessage(frame.Compile, 1, frame.CompileMeta{SourceBytes: 5})
	for name, bytes := range map[string][]byte{
		"text":                      []byte("GET / HTTP/1.1\r\n\r\n"),
		"a frame of our own":        mustEncode(frame.Frame{Kind: frame.Pong}),
		"no JSON":                   mustEncode(frame.Frame{Kind: frame.Run, Meta: []byte("{")}),
		"lengths that don't add up": mustEncode(compile),
		"negative lengths":          mustEncode(mustMessage(frame.Compile, 1, frame.CompileMeta{SourceBytes: -1})),
	} {
		c := connect(t)
		if _, err := c.conn.Write(bytes); err != nil {
			t.Fatal(err)
		}
		if err := c.streamEnds(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestALateConfigurationIsRefused(t *testing.T) {
	c := connect(t)
	c.compiles("x := 1")
	c.configure(frame.ConfigureMeta{})
	if err := c.streamEnds(); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Error(err)
	}
}

func TestAnIdInUseIsRefused(t *testing.T) {
	c := connect(t)
	c.compiles("for true {}")
	id := c.start("for true {}", 60_000, nil, "")
	c.lastID = id - 1
	c.start("for true {}", 60_000, nil, "")
	if err := c.streamEnds(); err == nil || !strings.Contains(err.Error(), "still going on") {
		t.Error(err)
	}
}

func TestAnswersOverTheLimitAreOutputErrors(t *testing.T) {
	c := connect(t)
	limit := 10
	c.configure(frame.ConfigureMeta{MaxAnswerBytes: &limit})
	request := frame.Request{Method: "GET"}
	if done := c.answer(`w := import("cgi").response.write; w("01234"); w(bytes("56789"))`, request, ""); done.body != "0123456789" {
		t.Errorf("%+v", done)
	}
	for _, source := range []string{
		`w := import("cgi").response.write; w("01234"); w("567890")`,
		`h := import("cgi").response.headers; for i := 0; i < 100000; i++ { h("A", "b") }`,
	} {
		got := c.answer(source, request, "")
		if got.failure(t).Kind != "output" || got.Response != nil || got.body != "" {
			t.Errorf("%s: %+v, %+v", source, got, got.Error)
		}
	}
}

func TestLimitsAreThoseConfiguredOrTheDefaults(t *testing.T) {
	lines := 5
	got := defaultLimits().configured(frame.ConfigureMeta{MaxLogLines: &lines})
	want := defaultLimits()
	want.run.LogLines = 5
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, not %+v", got, want)
	}
	huge := frame.MaxBytes * 2
	if got := got.configured(frame.ConfigureMeta{MaxAnswerBytes: &huge}).run.AnswerBytes; got >= frame.MaxBytes {
		t.Errorf("answers of %d bytes fit in no frame", got)
	}
}

func TestReadyNamesTheBuiltinModules(t *testing.T) {
	c := connect(t)
	names := strings.Fields("base64 cgi enum fmt hex http json log math rand text times")
	got := c.refuses(`import("os")`)
	for _, name := range names {
		if !strings.Contains(got.Message, name) {
			t.Errorf("%s is not among those named: %s", name, got.Message)
		}
	}
	if !slices.IsSorted(names) {
		t.Error("not sorted")
	}
}
