package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/d5/tengo/v2"
)

// failing runs a program that must not end well, under the limits that tests take.
func failing(t *testing.T, source string) *Error {
	t.Helper()
	m := mustCompile(t, source).machine(Limits{Elements: 1000, Allocations: -1})
	timer := time.AfterFunc(patience, m.Abort)
	defer timer.Stop()
	var failed *Error
	if err := m.Run(); !errors.As(err, &failed) {
		t.Fatalf("%s ended with %v", source, err)
	}
	return failed
}

func TestNoArrayOrMapGrowsBeyondTheLimit(t *testing.T) {
	full := "a := range(0, 1000); m := {}; for i := 0; i < 1000; i++ { m[i] = i }\nm[5] = 7; m[\"6\"] = 7\n"
	for _, source := range []string{
		"x := range(0, 1000000000)", "x := range(9223372036854775800, -9223372036854775800)", "x := range(0, 1001)",
		"x := range(-9223372036854775807, 9223372036854775807, 2)", "a := []; for true { a = append(a, 1) }",
		"a := []; for true { a += [1] }", "a := [1]; for true { a += a }", "a := [1]; for true { a = append(a, a...) }",
		"a := immutable([1]); for true { a = immutable(a + a) }", "a := []; for true { splice(a, 0, 0, 1) }",
		"m := {}; for i := 0; true; i++ { m[i] = 1 }", "m := {a: {}}; for i := 0; true; i++ { m.a[i] = 1 }",
		"f := func() { m := {}; for i := 0; true; i++ { m[i] = 1 } }; f()",
		"f := func() { m := {a: {}}; g := func() { for i := 0; true; i++ { m.a[i] = 1 } }; g() }; f()",
		full + "a = append(a, 1)", full + "a += [1]", full + "splice(a, 0, 0, 1)", full + "m.x = 1", full + "a = append(copy(a), 1)",
		full + "f := copy(append); f(a, 1)", full + "x := append([1], a...)", full + "f := func(...x) {}; f(1, a...)",
		`x := import("text").split(import("text").repeat("a,", 1000), ",")`,
		"x := [" + strings.Repeat("1, ", 1000) + "1]", "x := {" + keys(1001) + "}",
	} {
		failed := failing(t, source)
		var limit LimitError
		if !errors.As(failed, &limit) || limit != "an array or map may have 1000 elements (limits.elements)" {
			t.Errorf("%.200s: %v", source, failed)
		}
	}
	for _, source := range []string{
		"a = a + []", "splice(a, 0, 1, 5)", "a = append(a[1:], 5)", "m[7] = 8; delete(m, \"7\"); m.x = 9", "f := func(x, ...y) {}; f(a...)", "splice(a, 1, 9223372036854775807)",
	} {
		if err := mustCompile(t, full+source).machine(Limits{Elements: 1000, Allocations: -1}).Run(); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func keys(number int) string {
	var text strings.Builder
	for i := range number {
		fmt.Fprintf(&text, "k%d: 1, ", i)
	}
	return strings.TrimSuffix(text.String(), ", ")
}

// walkers are what Go's own code does with a whole value v.
var walkers = []string{
	"x := string(v)", "x := \"a\" + v", "x := copy(v)", "x := v == copied", "x := copied != v", "x := [v] == [copied]", "x := {a: v} == {a: copied}",
	"x := format(\"%v\", v)", "x := format(\"%s\", [v])", "x := string(error(v))", "x := \"a\" + error(v)", "x := copy(error(v))",
	"x := import(\"json\").encode(v)", "x := import(\"fmt\").sprintf(\"%v\", v)", "x := int(v)", "x := bytes(v)", "x := time(v)", "x := char(v)",
	"x := string(immutable([v]))", "m := {}; m[v] = 1", "m := {}; x := m[v]", "m := {}; m[v].b = 1", "x := error(1)[v]", "x := immutable({})[v]",
	"x := import(\"text\").join(v, \",\")", "f := copy(string); x := f(v)",
}

func TestValuesThatWouldNeverEndAreRefused(t *testing.T) {
	nested := "the value contains itself, or is nested deeper than 1000 levels"
	for _, making := range []string{
		"v := [1]; v[0] = v; copied := [1]; copied[0] = copied", "v := {}; v.a = v; copied := {}; copied.a = copied",
		"v := []; v = append(v, 1); w := {v: v}; v[0] = w; copied := [1]; copied[0] = {v: copied}",
		"v := [1]; v[0] = error(v); copied := [1]; copied[0] = error(copied); v = [v]; copied = v",
		"v := [1]; v[0] = immutable({a: v}); copied := [1]; copied[0] = {a: copied}",
		"v := 1; for i := 0; i < 1001; i++ { v = [v] }; copied := 1; for i := 0; i < 1001; i++ { copied = [copied] }",
	} {
		for _, walker := range walkers {
			if strings.Contains(making, "error(") && strings.Contains(walker, "=") && strings.Contains(walker, "copied") {
				continue // errors are equal only to themselves, so nobody looks into them
			}
			if failed := failing(t, making+"\n"+walker); failed.Error() != nested || failed.Places[0][:7] != "main:2:" {
				t.Errorf("%s\n%s: %v", making, walker, failed)
			}
		}
	}
}

func TestValuesThatRepeatTheirPartsWithoutEndAreRefused(t *testing.T) {
	making := `grow := func(v) { for i := 0; i < 100; i++ { v = {a: [v], b: v} }; return v }
v := grow([1]); copied := grow([1])
`
	for _, walker := range walkers {
		if failed := failing(t, making+walker); !errors.Is(failed, errParts) || failed.Places[0][:7] != "main:3:" {
			t.Errorf("%s: %v", walker, failed)
		}
	}
}

func TestValuesWithTooMuchTextAreRefused(t *testing.T) {
	making := "s := import(\"text\").repeat(\"x\", 1000000); v := []; for i := 0; i < 100; i++ { v = append(v, s, bytes(s)) }\n"
	for _, walker := range []string{"x := string(v)", "x := copy(v)", "x := \"a\" + v", "x := import(\"json\").encode(v)"} {
		if failed := failing(t, making+walker); !errors.Is(failed, errText) {
			t.Errorf("%s: %v", walker, failed)
		}
	}
}

func TestWhatLooksAtNoMoreThanTheValueItselfTakesAnyValue(t *testing.T) {
	for _, making := range []string{
		"v := [1]; v[0] = v", "v := {}; v.a = v", "v := [1]; for i := 0; i < 100; i++ { v = [v, v] }", "v := [1]; v[0] = error(v)",
	} {
		for _, harmless := range []string{
			"x := len(v)", "x := append([], v); y := append([], v, v)", "x := is_array(v) || is_map(v)", "x := type_name(v)", "x := !v", "x := v ? 1 : 2",
			"x := bool(v)", "x := immutable(v)", "x := error(v)", "for k, e in v { x := e }", "x := [v, v]; splice(x, 0, 1, v)", "x := v == 1",
			"x := 1 == v", "f := func(x) { return x }; y := f(v)", "f := func(...x) { return x }; y := f(v, v)", "x := is_error(v)", "x := {a: v}; delete(x, \"a\")",
			"x := error(v) == error(v)", "x := v == []", "x := v == {}", "x := func() { y := v; return func() { return y } }()()",
		} {
			m := mustCompile(t, making+"\n"+harmless).machine(Limits{Elements: 1000, Allocations: -1})
			if err := m.Run(); err != nil {
				t.Errorf("%s\n%s: %v", making, harmless, err)
			}
		}
	}
}

func TestAnAbortEndsEveryKindOfLoop(t *testing.T) {
	for _, source := range []string{
		"for true {}", "for {}", "for i := 0; true; i++ { if i > 5 { continue } }", "f := func() { for {} }; f()", "f := func() { return f() }; f()",
		"f := func(n) { f(n + 1) }; f(0)", "f := func() { g := func() { for {} }; g() }; f()", `import("m").forever()`,
		"f := func(n) { if n > 0 { f(n - 1); f(n - 1) } }; f(900)", `import("m").apply(func(x) { for {} }, 1)`, "f := func(...x) { return f(x...) }; f(1)",
		"for { for i, v in [1, 2, 3] { x := v } }", `for { x := import("text").repeat("x", 10) }`,
	} {
		m := mustCompile(t, source).machine(Limits{Elements: 1000, Allocations: -1})
		time.AfterFunc(20*time.Millisecond, m.Abort)
		begin := time.Now()
		err := m.Run()
		var failed *Error
		if !errors.Is(err, ErrAborted) || !errors.As(err, &failed) || len(failed.Places) == 0 || !slices.Equal(failed.Places, m.Places()) {
			t.Errorf("%s: %v", source, err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s took %v", source, took)
		}
	}
}

func TestAnAbortEndsAProgramWithoutLoopsAndCalls(t *testing.T) {
	making := `a := range(0, 1000); b := copy(a); s := import("text").repeat("x", 1000000); x := 0` + "\n"
	for _, line := range []string{"x = a == b", "x = a != b", "x = s + s", "x = copy(a)", "x = string(a)", "x = [a] == [b]", `x = import("json").encode(a)`} {
		m := mustCompile(t, making+strings.Repeat(line+"\n", 60_000)).machine(Limits{Elements: 1000, Allocations: -1})
		var aborted time.Time
		time.AfterFunc(10*time.Millisecond, func() { aborted = time.Now(); m.Abort() })
		var failed *Error
		if err := m.Run(); !errors.As(err, &failed) || failed.Err != ErrAborted || len(failed.Places) != 1 || failed.Places[0] == "main:1:1" {
			t.Errorf("%s: %v", line, err)
		}
		if took := time.Since(aborted); took > 200*time.Millisecond {
			t.Errorf("%s took %v", line, took)
		}
	}
}

func TestAnAbortEndsTheWalkThroughALargeValue(t *testing.T) {
	m := mustCompile(t, "v := [1]; for i := 0; i < 100; i++ { v = [v, v] }\nx := string(v)").machine(Limits{Elements: 1000, Allocations: -1})
	w := walk{machine: m}
	value := tengo.Object(&tengo.Array{})
	for range 100 {
		value = &tengo.Array{Value: []tengo.Object{value, value}}
	}
	m.Abort()
	if err := w.value(value, 0); err != ErrAborted || w.parts > lookEvery {
		t.Errorf("%v after %d parts", err, w.parts)
	}
}

func TestAnAbortStaysUntilTheMachineIsReset(t *testing.T) {
	m := mustCompile(t, "x := 1").machine(Limits{Elements: 1000, Allocations: -1})
	m.Abort()
	for range 2 {
		if err := m.Run(); !errors.Is(err, ErrAborted) {
			t.Error(err)
		}
	}
	m.Reset()
	if err := m.Run(); err != nil {
		t.Error(err)
	}
}

func TestAnAbortedRunKnowsWhereItWas(t *testing.T) {
	m := mustCompile(t, "f := func() {\n  for {\n  }\n}\n\nf()").machine(Limits{Elements: 1000, Allocations: -1})
	time.AfterFunc(10*time.Millisecond, m.Abort)
	if err := m.Run(); err == nil || !slices.Equal(m.Places(), []string{"main:2:3", "main:6:1"}) {
		t.Errorf("%v at %q", err, m.Places())
	}
}

// Whatever a run came to, the machine must be as good as new.
func TestResetLeavesNothingOfTheRunBehind(t *testing.T) {
	for _, source := range []string{
		"x := [1]; y := {a: x}; f := func(n) { z := [n]; return n == 0 ? z : f(n - 1) }; f(50)", "f := func(n) { return [f(n + 1)] }; f(0)",
		"f := func(...a) { g := func() { return a }; return 1 / 0 }; f(range(0, 500)...)", "f := func(n) { return n == 0 ? import(\"text\").repeat(\"x\", -1) : 1 + f(n - 1) }; f(300)",
		"for k, v in {a: [1]} { x := v; y := func() { return v } }",
	} {
		m := mustCompile(t, source).machine(Limits{Elements: 1000, Allocations: -1})
		first := fmt.Sprint(m.Run())
		m.Reset()
		for _, kept := range [][]tengo.Object{m.variables, m.stack[:cap(m.stack)]} {
			for _, value := range kept {
				if value != nil {
					t.Errorf("%s leaves %v", source, value)
				}
			}
		}
		for _, each := range m.frames[:cap(m.frames)] {
			if each.function != nil {
				t.Errorf("%s leaves a call", source)
			}
		}
		if second := fmt.Sprint(m.Run()); second != first {
			t.Errorf("%s: %s, then %s", source, first, second)
		}
	}
}

func TestMachinesOfOneProgramRunSideBySide(t *testing.T) {
	program := mustCompile(t, `m := import("m"); c := func() { n := 0; return func() { n += 1; return n } }()
for i := 0; i < 300; i++ { c(); m.count() }
x := [c(), m.count(), 5 / 0]`)
	image := NewRuntime(Limits{Elements: 1000, Allocations: -1}).Load(program.bytecode, program.globals)
	results := make(chan error)
	for range 8 {
		go func() {
			m := image.New(slices.Clone(program.bytecode.Constants))
			for range 20 {
				_ = m.Run()
				_ = m.Allocated()
				m.Reset()
			}
			results <- m.Run()
		}()
	}
	for range 8 {
		var failed *Error
		if err := <-results; !errors.As(err, &failed) || failed.Error() != "division by zero" || failed.Places[0] != "main:3:23" {
			t.Error(failed)
		}
	}
}

func TestARunTellsAboutHowMuchItHasAllocated(t *testing.T) {
	for source, least := range map[string]int64{
		"a := []; for i := 0; i < 100000; i++ { a = append(a, i) }":                                          2 << 20,
		"m := {}; for i := 0; i < 50000; i++ { m[i] = i }":                                                   3 << 20,
		`s := import("text").repeat("x", 1000); a := []; for i := 0; i < 1000; i++ { a = append(a, s + i) }`: 1 << 20,
		"a := []; for i := 0; i < 1000; i++ { a = append(a, range(0, 100)) }":                                2 << 20,
		"a := []; for i := 0; i < 10000; i++ { x := [i]; a = append(a, func() { return x }) }":               500 << 10,
	} {
		m := mustCompile(t, source).machine(Limits{Elements: manyElements, Allocations: -1})
		if err := m.Run(); err != nil || m.Allocated() < least || m.Allocated() > 20*least {
			t.Errorf("%s: %v, %d bytes", source, err, m.Allocated())
		}
	}
}

// What the functions make is large, and little of it is at the top of the value.
func TestARunTellsWhatIsWithinTheValuesThatFunctionsMake(t *testing.T) {
	for making, calls := range map[string][]string{
		`v := [range(0, 100000)]; text := import("json").encode(v)`:                                                  {"x = copy(v)", `x = import("json").decode(text)`},
		`v := {a: []}; for i := 0; i < 30000; i++ { v.a = append(v.a, {b: [i]}) }; text := import("json").encode(v)`: {"x = copy(v)", `x = import("json").decode(text)`},
		`v := []; for i := 0; i < 30; i++ { v = append(v, [bytes(100000)]) }`:                                        {"x = copy(v)", "x = copy(error(v))", "x = copy(v[0][0]); for i := 0; i < 29; i++ { x = copy(v[0][0]) }"},
		`text := import("json").encode({a: [import("text").repeat("x", 3000000)]})`:                                  {`x = import("json").decode(text)`},
	} {
		before := mustCompile(t, making+"; x := 0").machine(Limits{Elements: manyElements, Allocations: -1})
		if err := before.Run(); err != nil {
			t.Fatal(making, err)
		}
		for _, call := range calls {
			m := mustCompile(t, making+"; x := 0; "+call).machine(Limits{Elements: manyElements, Allocations: -1})
			if err := m.Run(); err != nil {
				t.Fatal(making, call, err)
			}
			if taken := m.Allocated() - before.Allocated(); taken < 2<<20 || taken > 12<<20 {
				t.Errorf("%s; %s: %d bytes", making, call, taken)
			}
		}
	}
}

func TestACopyThatThereIsNoRoomForIsNotMade(t *testing.T) {
	m := mustCompile(t, "v := range(0, 100000); v = [v, v, v]\nx := copy(v)").machine(Limits{Elements: manyElements, Allocations: -1})
	m.OnLarge = m.Abort
	if err := m.Run(); !errors.Is(err, ErrAborted) || !slices.Equal(m.Places(), []string{"main:2:6"}) || m.variables[1] != nil {
		t.Errorf("%v at %q", err, m.Places())
	}
}
