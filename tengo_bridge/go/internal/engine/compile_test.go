package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"selfhost/libtengo/internal/frame"
)

func TestWhatIsWrongWithAProgramIsToldWithItsPlace(t *testing.T) {
	rows := []struct {
		name    string
		source  string
		modules []string
		message string
		stack   []string
	}{
		{"syntax", "x := 1\ny := (2", nil, "expected ')', found newline", []string{"main:2:8"}},
		{"unknown name", "x := 1\nx = json", nil, "unresolved reference 'json'", []string{"main:2:5"}},
		{"assigned before it is defined", "headers = {}", nil, "unresolved reference 'headers'", []string{"main:1:1"}},
		{"syntax in a module", `import("m")`, []string{"m", "\n)"}, "expected statement, found ')'", []string{"m:2:1", "main:1:1"}},
		{"in a module of a module", `import("m")`, []string{"m", `x := import("n@2")`, "n@2", "a"},
			"unresolved reference 'a'", []string{"n@2:1:1", "m:1:6", "main:1:1"}},
		{"a circle", ` import("a")`, []string{"a", `import("b")`, "b", "\nimport(\"a\")"},
			"modules import each other in a circle: a -> b -> a", []string{"b:2:1", "a:1:1", "main:1:2"}},
		{"a module that imports itself", `import("a")`, []string{"a", `import("a")`},
			"modules import each other in a circle: a -> a", []string{"a:1:1", "main:1:1"}},
		{"a builtin assigned to", "y := 1\n\tlen = 5", nil, "'len' is a builtin function and cannot be assigned to", []string{"main:2:2"}},
		{"a builtin added to", `string += "x"`, nil, "'string' is a builtin function and cannot be assigned to", []string{"main:1:1"}},
		{"a builtin counted up, one of that name declared", "f := func() {\n len := 1\n len = 2\n}\ncopy++", nil,
			"'copy' is a builtin function and cannot be assigned to", []string{"main:5:1"}},
		{"a builtin assigned to in a module", `import("m")`, []string{"m", "x := 1\nlen = 2\nexport 1"},
			"'len' is a builtin function and cannot be assigned to", []string{"m:2:1", "main:1:1"}},
		{"export inside a function", "f := func() { export 1 }", nil, "export not allowed inside function", []string{"main:1:15"}},
	}
	c := connect(t)
	for _, row := range rows {
		got := c.refuses(row.source, row.modules...)
		if got.Message != row.message || !slices.Equal(got.Stack, row.stack) {
			t.Errorf("%s: %q at %q", row.name, got.Message, got.Stack)
		}
	}
}

func TestFurtherSyntaxErrorsFollowTheFirstInShort(t *testing.T) {
	got := connect(t).refuses("a := )\nb := 1 +\n\n")
	if got.Stack[0] != "main:1:6" || !strings.Contains(got.Message, "; 3:2: ") {
		t.Errorf("%q at %q", got.Message, got.Stack)
	}
}

func TestNoSystemAndNoFilesCanBeImported(t *testing.T) {
	c := connect(t)
	for _, name := range []string{"os", "./x", "/etc/passwd", "x.tengo", "../x", "", "a@b", "a@", "a@-1", "@1", ".", "a\nb"} {
		got := c.refuses(fmt.Sprintf("\nx := import(%q)", name))
		start := fmt.Sprintf("module '%s' cannot be imported: importable are base64, cgi, enum,", name)
		if !strings.HasPrefix(got.Message, start) || !slices.Equal(got.Stack, []string{"main:2:6"}) {
			t.Errorf("%q: %q at %q", name, got.Message, got.Stack)
		}
	}
}

func TestEveryBuiltinModuleCanBeImported(t *testing.T) {
	c := connect(t)
	for _, name := range strings.Fields("base64 cgi enum fmt hex http json log math rand text times") {
		c.prints(fmt.Sprintf("m := import(%q)\nif !is_immutable_map(m) { m.missing() }", name))
	}
}

func TestModulesThatAreNotSuppliedAreAskedForOnceEachWithTheirFirstPlace(t *testing.T) {
	c := connect(t)
	answer := c.compile("a := import(\"a\")\nb := import(\"b@latest\")\nc := import(\"b@latest\")\nd := import(\"text\")\n// import(\"no\")\nx := `import(\"no\")`",
		"a", `e := import("c.d_e-f@12")`)
	if answer.Kind != frame.Needs {
		t.Fatalf("kind %d: %s", answer.Kind, answer.Meta)
	}
	var needs frame.NeedsMeta
	if err := answer.DecodeMeta(&needs); err != nil {
		t.Fatal(err)
	}
	want := []frame.NeededModule{{Name: "c.d_e-f@12", At: "a:1:6"}, {Name: "b@latest", At: "main:2:6"}}
	if !slices.Equal(needs.Modules, want) {
		t.Errorf("%+v", needs.Modules)
	}
}

func TestModulesOfModulesWorkAndUnusedOnesAreNotListed(t *testing.T) {
	c := connect(t)
	source := `import("log").info("%d", import("sum@1")(2))`
	names := c.compiles(source, "sum@1", `add := import("add"); export func(x) { return add.two(x) }`,
		"add", `export { two: func(x) { return x + 2 } }`, "unused", "export 1")
	if !slices.Equal(names, []string{"add", "sum@1"}) {
		t.Errorf("%q", names)
	}
	if got := c.finish(c.start(source, 1000, nil, "")).messages(); got != "4" {
		t.Errorf("it logged %q", got)
	}
}

func TestTwoRevisionsOfAModuleLiveSideBySide(t *testing.T) {
	got := connect(t).prints(`log := import("log"); log.info("%d %d %d", import("m@0"), import("m@1"), import("m@latest"))`,
		"m@0", "export 10", "m@1", "export 11", "m@latest", "export 12")
	if got != "10 11 12" {
		t.Errorf("it logged %q", got)
	}
}

func TestAModuleCannotTakeTheNameOfABuiltinOne(t *testing.T) {
	if got := connect(t).prints(`import("log").info("%v", import("math").pi > 3)`, "math", "export {pi: 1}"); got != "true" {
		t.Errorf("it logged %q", got)
	}
}

func TestAProgramMayBeNamedLikeAModuleItImports(t *testing.T) {
	got := connect(t).refuses(`x := import("main")`, "main", "a")
	if !slices.Equal(got.Stack, []string{"main:1:1", "main:1:6"}) {
		t.Errorf("%q", got.Stack)
	}
}

// To Tengo, error is a keyword.
func TestErrorIsASelectorLikeAnyOther(t *testing.T) {
	c := connect(t)
	source := `m := import("m"); m.log.error("%s %d", m.
	error, {"error": 1}.error)`
	done := c.run(source, "m", `x := {log: import("log")}; x.error = "{x.error}"; export x`)
	if done.messages() != "{x.error} 1" || done.log[0].Level != "error" {
		t.Errorf("%+v, %+v", done, done.Error)
	}
	if got := c.run("log := import(\"log\")\nlog.error(); x := 1").failure(t); got.Stack[0] != "main:2:1" {
		t.Errorf("%+v", got)
	}
	if got := c.prints(`e := error("x"); import("log").info("%v %v", is_error(e), e.value)`); got != `true "x"` {
		t.Errorf("it logged %q", got)
	}
	if got := c.refuses("a := 1; a.error b").Stack; !slices.Equal(got, []string{"main:1:17"}) {
		t.Errorf("%q", got)
	}
}

// Tengo's instructions have one or two bytes for these, and its compiler does not look.
func TestWhatHasNoRoomInAnInstructionIsRefused(t *testing.T) {
	var globals, locals, constants strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&globals, "g%d := %d\n", i, i)
	}
	for i := range 300 {
		fmt.Fprintf(&locals, "l%d := %d\n", i, i)
	}
	for i := range 70_000 {
		fmt.Fprintf(&constants, "%d\n", i)
	}
	c := connect(t)
	for source, message := range map[string]string{
		globals.String(): "1100 global variables; 1024 are possible",
		"f := func() {\n" + locals.String() + "}": "300 local variables; 256 are possible",
		constants.String():                        "70000 constants; 65536 are possible",
	} {
		if got := c.refuses(source).Message; !strings.Contains(got, message) {
			t.Errorf("%q, not %q", got, message)
		}
	}
}

func TestAForgottenProgramIsUnknownAndAnotherTakesItsKey(t *testing.T) {
	c := connect(t)
	c.compiles("x := 1")
	c.send(mustMessage(frame.Forget, 0, frame.ForgetMeta{Key: "x := 1"}))
	done := c.finish(c.start("x := 1", 1000, nil, ""))
	if got := done.failure(t); done.Outcome != "failed" || got.Kind != "runtime" || got.Message != "program is not compiled here" {
		t.Errorf("%+v, %+v", done, got)
	}
	c.compiles("x := 1")
	if done := c.finish(c.start("x := 1", 1000, nil, "")); done.Outcome != "succeeded" {
		t.Errorf("%+v", done)
	}
}
