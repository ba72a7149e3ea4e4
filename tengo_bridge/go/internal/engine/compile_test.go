package engine

import (
	"fmt"
	"reflect"
	"runtime/debug"
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
	want := []frame.NeededModule{
		{Name: "c.d_e-f@12", At: "a:1:6", Via: []string{"main:1:6"}}, {Name: "b@latest", At: "main:2:6", Via: []string{}},
	}
	if !reflect.DeepEqual(needs.Modules, want) {
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

// nested gives sources that are nested as deep as n says, each in a way of its own.
func nested(n int) map[string]string {
	repeat := strings.Repeat
	return map[string]string{
		"parentheses":      "x := " + repeat("(", n) + "1" + repeat(")", n),
		"arrays":           "x := " + repeat("[", n) + repeat("]", n),
		"maps":             "x := " + repeat("{a: ", n) + "1" + repeat("}", n),
		"open brackets":    repeat("[", n),
		"closed brackets":  repeat(")", n),
		"blocks":           repeat("if true {\n", n) + repeat("}\n", n),
		"loops":            repeat("for i := 0; i < 1; i++ {\n", n) + repeat("}\n", n),
		"functions":        "x := " + repeat("func() { return ", n) + "1" + repeat("}", n),
		"calls":            "f := func() {}\nf" + repeat("()", n),
		"calls in calls":   "f := func(x) {}\n" + repeat("f(", n) + "1" + repeat(")", n),
		"a sum":            "x := 1" + repeat("+1", n),
		"a sum over lines": "x := 1" + repeat("+\n1", n),
		"powers":           "x := 1" + repeat("<<1*1", n),
		"signs":            "x := " + repeat("- ", n) + "1",
		"negations":        "x := " + repeat("!", n) + "true",
		"selectors":        "x := {}\ny := x" + repeat(".a", n),
		"indexes":          "x := {}\ny := x" + repeat("[0]", n),
		"slices":           "x := []\ny := x" + repeat("[0:]", n),
		"conditions":       "x := 1" + repeat(" ? 1 : 1", n),
		"else if":          "if false {}" + repeat(" else if false {}", n),
		"and, or":          "x := true" + repeat(" && true || true", n),
		"immutables":       "x := " + repeat("immutable(", n) + "1" + repeat(")", n),
		"errors":           "x := " + repeat("error(", n) + "1" + repeat(")", n),
		"assignments":      "x := {}\nx" + repeat(".a", n) + " = 1",
		"imports":          repeat("import(", n),
		"an unending mix":  repeat("{[(func(", n),
	}
}

func TestSourceThatIsNestedBeyondAllMeasureIsRefused(t *testing.T) {
	c := connect(t)
	for _, levels := range []int{2_001, 10_000, 100_000} {
		for name, source := range nested(levels) {
			if len(source) > defaultLimits().sourceBytes {
				continue
			}
			if got := c.refuses(source); got.Kind != "compile" || len(got.Stack) != 1 {
				t.Errorf("%s, %d levels: %+v", name, levels, got)
			} else if name != "closed brackets" && !strings.HasPrefix(got.Message, "the source is nested too deep: more than 2000") {
				t.Errorf("%s, %d levels: %q", name, levels, got.Message)
			}
		}
	}
}

func TestSourceThatIsNestedAsDeepAsItMayBeDoesNoHarm(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(8 << 20)) // a quarter of what the library sets
	c := connect(t)
	for name, source := range nested(390) {
		if answer := c.compile(source); answer.Kind == frame.Refused && strings.Contains(string(answer.Meta), "nested") {
			t.Errorf("%s is refused: %s", name, answer.Meta)
		}
	}
	for name, source := range nested(1_999) {
		if answer := c.compile(source); answer.Kind != frame.Refused && answer.Kind != frame.Compiled {
			t.Errorf("%s: a frame of kind %d", name, answer.Kind)
		}
	}
	c.prints("x := 1")
}

func TestNestingAddsUpAlongTheImports(t *testing.T) {
	c := connect(t)
	around := func(inner string) string { return strings.Repeat("(", 700) + inner + strings.Repeat(")", 700) }
	module := func(name string) string { return "x := " + around("import(\""+name+"\")") + "\nexport x" }
	c.compiles("x := "+around(`import("a")`), "a", "x := "+around("1")+"\nexport x")
	got := c.refuses("x := "+around(`import("a")`), "a", module("b"), "b", "\nx := "+around("1"))
	if !strings.HasPrefix(got.Message, "the source is nested too deep") || !slices.Equal(got.Stack, []string{"main:1:706"}) {
		t.Errorf("%q at %q", got.Message, got.Stack)
	}
}

func TestAnOrdinaryProgramIsNotNestedDeep(t *testing.T) {
	long := "x := [" + strings.Repeat("-1, {a: (1 + 2)}, ", 5_000) + "1]\n" + strings.Repeat("y := x[0] + 1; if y > 2 { y = 3 }\n", 5_000)
	if depth, at := deepest("main", []byte(long), 2_000); depth > 20 {
		t.Errorf("%d deep at %s", depth, at)
	}
}

func TestImportsAreBoundedInNumberAndDepth(t *testing.T) {
	c := connect(t)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "import(\"m%d\")\n", i)
	}
	got := c.refuses(many.String())
	if got.Message != "the program reaches more than 64 modules by its imports (limits.modules)" || got.Stack[0] != "main:65:1" {
		t.Errorf("%q at %q", got.Message, got.Stack)
	}
	var chain []string
	for i := range 40 {
		chain = append(chain, fmt.Sprintf("m%d", i), fmt.Sprintf("x := import(\"m%d\")\nexport x", i+1))
	}
	got = c.refuses(`import("m0")`, chain...)
	if got.Message != "modules import modules more than 32 deep (limits.import_depth)" || got.Stack[0] != "m31:1:6" {
		t.Errorf("%q at %q", got.Message, got.Stack)
	}
}

func TestASourceThatIsTooLongIsRefused(t *testing.T) {
	c := connect(t)
	long := strings.Repeat(" ", 1<<20+1)
	for _, modules := range [][]string{nil, {"m", long}} {
		source := long
		if modules != nil {
			source = `import("m")`
		}
		got := c.refuses(source, modules...)
		if got.Message != "the source has 1048577 bytes; 1048576 are possible (limits.source_bytes)" {
			t.Errorf("%q at %q", got.Message, got.Stack)
		}
	}
}

func TestALanguageWithoutAnEngineIsRefused(t *testing.T) {
	c := connect(t)
	compile := mustMessage(frame.Compile, 1, frame.CompileMeta{Key: "k", Language: "lua", SourceBytes: 1})
	compile.Body = []byte("x")
	c.send(compile)
	var refused frame.RefusedMeta
	c.expect(frame.Refused, &refused)
	if refused.Error.Message != "language 'lua' is not run here; run here: tengo" {
		t.Errorf("%+v", refused.Error)
	}
}
