package engine

import (
	"fmt"
	"strings"
	"testing"
)

// arrayOf, and those after it, give programs that log what they have made of so many parts.
func arrayOf(elements int) string {
	return "a := [" + strings.Repeat("true,", elements-1) + "8\n]\n" + `import("log").info("%v %v", len(a), a[len(a)-1])`
}

func mapOf(entries int) string {
	var source strings.Builder
	source.WriteString("m := {")
	for i := range entries - 1 {
		fmt.Fprintf(&source, "k%d: true,", i)
	}
	source.WriteString("last: 8\n}\n" + `import("log").info("%v %v %v", len(m), m.k0, m.last)`)
	return source.String()
}

func callOf(arguments int) string {
	return `f := func(...x) { return [len(x), x[0], x[len(x)-1]] }; r := f(` + strings.Repeat("7,", arguments-1) +
		"8)\n" + `import("log").info("%v %v %v", r[0], r[1], r[2])`
}

// selectorsOf assigns through selectors of both kinds. The nesting is Tengo's business.
func selectorsOf(selectors int, assignment string) string {
	path := strings.Repeat(`.a`, selectors-1) + `["b"]`
	return fmt.Sprintf(`root := {}; at := root; for i := 1; i < %d; i++ { at.a = {}; at = at.a }; at.b = 7
root%s %s
import("log").info("%%v", at.b)`, selectors, path, assignment)
}

func TestWhatTheCompilerCanCountRunsAsItIsWritten(t *testing.T) {
	c := connect(t)
	for _, number := range []int{1, 2, 255, 256, 65_534, 65_535} {
		if got := c.prints(arrayOf(number)); got != fmt.Sprint(number, " 8") {
			t.Errorf("%d elements: %s", number, got)
		}
	}
	for _, number := range []int{2, 256, 32_766, 32_767} {
		if got := c.prints(mapOf(number)); got != fmt.Sprint(number, " true 8") {
			t.Errorf("%d entries: %s", number, got)
		}
	}
	for _, number := range []int{2, 254, 255} {
		if got := c.prints(callOf(number)); got != fmt.Sprint(number, " 7 8") {
			t.Errorf("%d arguments: %s", number, got)
		}
	}
	for _, number := range []int{2, 254, 255} {
		for assignment, wanted := range map[string]string{"= 9": "9", "+= 5": "12", "++": "8", "--": "6"} {
			if got := c.prints(selectorsOf(number, assignment)); got != wanted {
				t.Errorf("%s through %d selectors: %s", assignment, number, got)
			}
		}
	}
}

func TestWhatTheCompilerCannotCountIsRefused(t *testing.T) {
	c := connect(t)
	array, entries, call, selectors := "an array literal may have 65535 elements", "a map literal may have 32767 entries",
		"a call may have 255 arguments", "an assignment may go through 255 selectors"
	parameters := "f := func(" + strings.Repeat("a,", 255) + "b) {}"
	for _, each := range []struct{ source, message, at string }{
		{arrayOf(65_536), array, "main:1:327681"},
		{"f := func() { return [[1, 2], " + strings.Repeat("[1, 2],", 65_535) + "3] }", array, "main:1:458768"},
		{mapOf(32_768), entries, ""},
		{callOf(256), call, "main:1:573"},
		{"a := len(1)\n" + callOf(300), call, "main:2:573"},
		{parameters, call, "main:1:520"},
		{selectorsOf(256, "= 9"), selectors, "main:2:521"},
		{selectorsOf(256, "+= 9"), selectors, "main:2:521"},
		{selectorsOf(256, "++"), selectors, "main:2:521"},
		{selectorsOf(1000, "--"), selectors, ""},
		{"f := func() { for x := {}; true; x" + strings.Repeat(".a", 256) + " = 1 {} }", selectors, ""},
	} {
		got := c.refuses(each.source)
		if got.Message != each.message || len(got.Stack) != 1 || !strings.HasPrefix(got.Stack[0], "main:") || each.at != "" && got.Stack[0] != each.at {
			t.Errorf("%.60s: %q at %q", each.source, got.Message, got.Stack)
		}
	}
	got := c.refuses(`x := import("m")`, "m", "export "+"["+strings.Repeat("1,", 65_535)+"1]")
	if got.Message != array || len(got.Stack) != 2 || got.Stack[1] != "main:1:6" {
		t.Errorf("%q at %q", got.Message, got.Stack)
	}
}

func TestManySelectorsAndCommasInDifferentPlacesAreNoneTooMany(t *testing.T) {
	c := connect(t)
	lines := strings.Repeat("m.a = [m.a, 2][0]; m.a++; x = len([1, 2])\n", 300)
	reading := "y := " + strings.TrimSuffix(strings.Repeat("m.a + ", 300), " + ")
	branches := strings.Repeat("if m.a == m.a && m.b {} else ", 60) + "{ m.a = 5 }"
	source := "m := {a: 1, b: false}; x := 0\n" + lines + reading + "\n" + branches + "\n" + `import("log").info("%v %v %v", m.a, y > 0, x)`
	if got := c.prints(source); got != "5 true 2" {
		t.Error(got)
	}
}
