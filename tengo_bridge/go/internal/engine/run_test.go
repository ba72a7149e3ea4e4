package engine

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

func TestARunTimeErrorHasItsPlacesThroughModules(t *testing.T) {
	got := connect(t).run("m := import(\"m@1\")\nf := func(x) { m.f(x) }\n\nf(1)", "m@1", "export {\n  f: func(x) { return [] + x }\n}").failure(t)
	if got.Kind != "runtime" || got.Message != "invalid operation: array + int" ||
		!slices.Equal(got.Stack, []string{"m@1:2:23", "main:2:16", "main:4:1"}) {
		t.Errorf("%+v", got)
	}
}

func TestAPanicOfGoIsAnErrorWithItsPlaceAndTheEngineGoesOn(t *testing.T) {
	c := connect(t)
	source := "f := func(n) {\n  return bytes(n)\n}\nf(-1)"
	got := c.run(source).failure(t)
	if got.Kind != "runtime" || !strings.HasPrefix(got.Message, "internal error: ") ||
		!slices.Equal(got.Stack, []string{"main:2:10", "main:4:1"}) {
		t.Errorf("%+v", got)
	}
	c.prints("x := 1")
}

func TestADivisionByZeroIsTheProgramsOwn(t *testing.T) {
	got := connect(t).run("x := 1\ny := x / 0").failure(t)
	if got.Kind != "runtime" || got.Message != "division by zero" || !slices.Equal(got.Stack, []string{"main:2:6"}) {
		t.Errorf("%+v", got)
	}
}

func TestEndlessRecursionIsAStackOverflow(t *testing.T) {
	c := connect(t)
	for name, source := range map[string]string{
		"calls":  "f := func(n) { return 1 + f(n + 1) }\nf(0)",
		"values": "f := func(a, b, c, d) { return 1 + f(a, b, c, d) }\nf(1, 2, 3, 4)",
	} {
		got := c.run(source).failure(t)
		if got.Message != "stack overflow" || len(got.Stack) != maxStack || !strings.HasPrefix(got.Stack[0], "main:1:") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLimitsOnStringsAndAllocationsAreMemoryErrors(t *testing.T) {
	c := connect(t)
	allocations := int64(1000)
	c.configure(frame.ConfigureMeta{MaxAllocations: &allocations})
	for source, message := range map[string]string{
		"a := []; for true { a = append(a, 1) }":               "object allocation limit exceeded (limits.allocations)",
		"s := \"0123456789\"; for true { s += s }":             "exceeding string size limit (limits.string_bytes)",
		"import(\"text\").repeat(\"0123456789\", 10000000000)": "exceeding string size limit (limits.string_bytes)",
		"bytes(100000000)":                                     "exceeding bytes size limit (limits.string_bytes)",
	} {
		if got := c.run(source).failure(t); got.Kind != "memory" || got.Message != message {
			t.Errorf("%s: %+v", source, got)
		}
	}
}

func TestADeadlineEndsWhateverTheProgramDoes(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := connectToLoopback(t)
	for name, source := range map[string]string{
		"a loop":             "for true {}",
		"a sleep":            `import("times").sleep(3600000000000)`,
		"a hanging request":  fmt.Sprintf(`x := import("http").get("http://%s/")`, silent.Addr()),
		"a loop of requests": fmt.Sprintf(`for true { x := import("http").get("http://%s/") }`, silent.Addr()),
		"a tail call":        "f := func() { return f() }\nf()",
	} {
		c.compiles(source)
		begin := time.Now()
		done := c.finish(c.start(source, 50, nil, ""))
		took := time.Since(begin)
		got := done.failure(t)
		if done.Outcome != "timed_out" || got.Kind != "deadline" || got.Message != "deadline of 50 ms exceeded" {
			t.Errorf("%s: %+v, %+v", name, done, got)
		}
		if took < 50*time.Millisecond || took > time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if done.ElapsedUS < 50_000 || done.ElapsedUS > took.Microseconds() {
			t.Errorf("%s elapsed %d µs of %v", name, done.ElapsedUS, took)
		}
	}
}

func TestARunThatIsEndedSaysWhereItWas(t *testing.T) {
	c := connect(t)
	for source, stack := range map[string][]string{
		"f := func() {\n  for {\n  }\n}\nf()": {"main:2:3", "main:5:1"},
		"times := import(\"times\")\nf := func() {\n  times.sleep(3600 * times.second)\n  return 1\n}\nf()": {"main:3:3", "main:6:1"},
	} {
		c.compiles(source)
		late := c.finish(c.start(source, 50, nil, "")).failure(t)
		id := c.start(source, 60_000, nil, "")
		time.Sleep(20 * time.Millisecond) // a run says nothing when it begins
		c.send(frame.Frame{Kind: frame.Cancel, ID: id})
		cancelled := c.finish(id).failure(t)
		if !slices.Equal(late.Stack, stack) || !slices.Equal(cancelled.Stack, stack) {
			t.Errorf("%s: %q, %q", source, late.Stack, cancelled.Stack)
		}
	}
}

func TestLimitsOfTheMachineAreConfiguredAndNamed(t *testing.T) {
	c := connect(t)
	elements := 1000
	c.configure(frame.ConfigureMeta{MaxElements: &elements})
	for source, kind := range map[string]string{
		"x := range(0, 1001)": "memory", "a := []; for { a = append(a, 1) }": "memory",
		"v := [1]; for i := 0; i < 100; i++ { v = [v, v] }; x := string(v)": "memory",
		"v := [1]; v[0] = v; x := import(\"json\").encode(v)":               "runtime",
		"v := [1]; v[0] = v; import(\"log\").info(\"%v\", v)":               "runtime",
		"v := {}; v.a = v; x := import(\"text\").join([v], \",\")":          "runtime",
	} {
		if got := c.run(source).failure(t); got.Kind != kind || len(got.Stack) != 1 {
			t.Errorf("%s: %+v", source, got)
		}
	}
}

func TestADeadlineThatHasPassedIsNotARunWithoutOne(t *testing.T) {
	c := connect(t)
	c.compiles("for true {}")
	for _, deadline := range []int64{0, -5} {
		if done := c.finish(c.start("for true {}", deadline, nil, "")); done.Outcome != "timed_out" {
			t.Errorf("%d ms: %+v", deadline, done)
		}
	}
}

func TestACancelledRunEndsAndItsNeighbourDoesNot(t *testing.T) {
	c := connect(t)
	source := `import("times").sleep(3600000000000)`
	c.compiles(source)
	first, second := c.start(source, 60_000, nil, ""), c.start(source, 60_000, nil, "")
	c.send(frame.Frame{Kind: frame.Cancel, ID: 4711}) // nobody's
	c.send(frame.Frame{Kind: frame.Cancel, ID: second})
	if done := c.finish(second); done.Outcome != "cancelled" || done.failure(t).Kind != "cancelled" {
		t.Errorf("%+v", done)
	}
	c.send(frame.Frame{Kind: frame.Cancel, ID: first})
	if done := c.finish(first); done.Outcome != "cancelled" {
		t.Errorf("%+v", done)
	}
}

// A late abort must not reach the next run of a machine, nor an early one be lost.
func TestAbortsAtTheEdgesOfRunsAreNeitherLostNorLeaked(t *testing.T) {
	c := connect(t)
	c.compiles("x := 1")
	c.compiles("for true {}")
	for range 300 {
		short := c.start("x := 1", 60_000, nil, "")
		c.send(frame.Frame{Kind: frame.Cancel, ID: short})
		if done := c.finish(short); done.Outcome != "succeeded" && done.Outcome != "cancelled" {
			t.Fatalf("%+v", done)
		}
		endless := c.start("for true {}", 60_000, nil, "")
		c.send(frame.Frame{Kind: frame.Cancel, ID: endless})
		if done := c.finish(endless); done.Outcome != "cancelled" {
			t.Fatalf("%+v", done)
		}
		if done := c.finish(c.start("x := 1", 60_000, nil, "")); done.Outcome != "succeeded" {
			t.Fatalf("%+v", done)
		}
	}
}

func TestRunsOfOneProgramGoSideBySide(t *testing.T) {
	const runs = 64
	c := connect(t)
	source := `import("times").sleep(50 * 1000000)`
	c.compiles(source)
	begin := time.Now()
	for range runs {
		c.start(source, 60_000, nil, "")
	}
	for range runs {
		var done frame.DoneMeta
		c.expect(frame.Done, &done)
		if done.Outcome != "succeeded" {
			t.Fatalf("%+v", done)
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("%d sleeps of 50 ms took %v", runs, took)
	}
}

func TestNothingOfARunReachesTheNext(t *testing.T) {
	c := connect(t)
	request := frame.Request{Method: "POST", Headers: map[string]string{"A": "b"}}
	source := `
cgi := import("cgi"); rand := import("rand"); m := import("m"); log := import("log")
if m.count() != 1 { m.fail() }
m.list = 1
cgi.response.status(201)
cgi.response.headers("X-A", "1")
cgi.response.write(cgi.request.body())
log.info("%d", rand.int())
if string(cgi.request.body()) == "seed" { rand.seed(1) }`
	module := `n := 0; export { count: func() { n += 1; return n }, fail: func() { return 1 / "x" } }`
	source = strings.Replace(source, "m.list = 1\n", "", 1)
	c.compiles(source, "m", module)
	first := c.finish(c.start(source, 1000, &request, "seed"))
	seen := map[string]bool{first.messages(): true}
	for i := range 20 {
		done := c.finish(c.start(source, 1000, &request, fmt.Sprint("body ", i)))
		if done.Outcome != "succeeded" || done.body != fmt.Sprint("body ", i) || len(done.Response.Headers) != 1 {
			t.Fatalf("%+v, %+v", done, done.Error)
		}
		if seen[done.messages()] {
			t.Errorf("the random number %s came again", done.messages())
		}
		seen[done.messages()] = true
	}
	without := c.finish(c.start(source, 1000, nil, ""))
	if got := without.failure(t); got.Message != "cgi: this run has no request" || without.Response != nil {
		t.Errorf("a request has reached a run without one: %+v", got)
	}
}

// Tengo notes the runes of a string inside the string, constants included, and looks places up with a cache.
func TestRunsSideBySideShareNothing(t *testing.T) {
	c := connect(t)
	source := `
s := "shared constant"; n := 0
for ch in s { n += len(string(ch)) }
for k, v in import("text") { if is_string(v) { for ch in v { n += 1 } } }
x := s[3] + "a" - 1`
	c.compiles(source)
	for range 200 {
		c.start(source, 60_000, nil, "")
	}
	for range 200 {
		var done frame.DoneMeta
		c.expect(frame.Done, &done)
		if done.Outcome != "failed" || done.Error.Stack[0] == "-" {
			t.Fatalf("%+v, %+v", done, done.Error)
		}
	}
}

func TestLogLinesComeInOrderWithTheirLevelAndTime(t *testing.T) {
	before := time.Now().UnixMilli()
	done := connect(t).run(`log := import("log"); log.info("a %d %s %v", 1, "x", [1, "å"]); log.error("100%"); log.info("")`)
	want := []frame.LogMeta{{Level: "info", Message: `a 1 x [1, "å"]`}, {Level: "error", Message: "100%"}, {Level: "info"}}
	for i, line := range done.log {
		if line.AtMS < before || line.AtMS > time.Now().UnixMilli() {
			t.Errorf("line %d is of %d", i, line.AtMS)
		}
		done.log[i].AtMS = 0
	}
	if !slices.Equal(done.log, want) {
		t.Errorf("%+v", done.log)
	}
}

func TestALogThatIsTooLongIsCutAndSaysSo(t *testing.T) {
	c := connect(t)
	lines, bytes := 3, 1000
	c.configure(frame.ConfigureMeta{MaxLogLines: &lines, MaxLogBytes: &bytes})
	last := "the log is cut here: a run may log 3 lines (limits.log_lines) and 1000 bytes (limits.log_bytes)"
	for source, want := range map[string][]string{
		`for i := 0; i < 10; i++ { import("log").info("%d", i) }`:                                            {"0", "1", "2", last},
		`log := import("log"); log.info("a"); log.info(import("text").repeat("x", 1000)); log.info("after")`: {"a", last},
	} {
		done := c.run(source)
		if got := strings.Split(done.messages(), "\n"); done.Outcome != "succeeded" || !slices.Equal(got, want) {
			t.Errorf("%s: %s %q", source, done.Outcome, got)
		}
	}
}

func TestAWorkerThatDoesNotReadHoldsUpRunsButNotTheReader(t *testing.T) {
	c := connect(t)
	source := `log := import("log"); for i := 0; i < 900; i++ { log.info("%s", import("text").repeat("x", 250)) }`
	c.compiles(source)
	const runs = 40
	for range runs {
		c.start(source, 60_000, nil, "")
	}
	for id := range uint32(runs) {
		c.send(frame.Frame{Kind: frame.Ping, ID: 1000 + id}) // all is read, although nothing can be written
	}
	done, pongs := 0, 0
	for done < runs || pongs < runs {
		switch c.next().Kind {
		case frame.Done:
			done++
		case frame.Pong:
			pongs++
		}
	}
}

func TestARunThatWaitsForASlowWorkerStillHasADeadline(t *testing.T) {
	c := connect(t)
	source := `log := import("log"); for i := 0; i < 900; i++ { log.info("%s", import("text").repeat("x", 280)) }`
	c.compiles(source)
	for range 40 {
		c.start(source, 100, nil, "")
	}
	time.Sleep(200 * time.Millisecond) // the worker is slow: there is nothing to wait for
	outcomes := map[string]int{}
	for range 40 {
		for {
			f := c.next()
			if f.Kind == frame.Done {
				var meta frame.DoneMeta
				if err := f.DecodeMeta(&meta); err != nil {
					t.Fatal(err)
				}
				outcomes[meta.Outcome]++
				break
			}
		}
	}
	if outcomes["timed_out"] == 0 {
		t.Errorf("%v", outcomes)
	}
}
