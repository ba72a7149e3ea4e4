package engine

import (
	"strings"
	"testing"

	"selfhost/libtengo/internal/machine"
)

// FuzzCompile holds that no source, alone or with a module, does worse than to be refused, at a place.
func FuzzCompile(f *testing.F) {
	for _, source := range []string{
		"x := 1", `m := import("m"); m.f(1)`, `import("log").error("%d", 1)`, "len = 5", "f := func(a, ...b) { return b }",
		"for k, v in {a: 1} { if k == \"a\" { break } else { continue } }", "x := [1, 2][0:1]", "export {f: func() {}}",
		"a := import(\"n@2\"); b := import(\"text\")", "x := `raw`; y := 'c'; z := 1.5e3; w := \"\\x00\\u00e5\"",
		"x := immutable({a: error(1)}).a.value ? 1 : undefined", "\xff\x00", "import(\"\xff\")", "/* ", "x++; x <<= 2; x &^= 1",
	} {
		f.Add([]byte(source), []byte("export func(x) { return x }"))
		f.Add([]byte(`import("m")`), []byte(source))
	}
	runtime := machine.NewRuntime(defaultLimits().ofMachines())
	f.Fuzz(func(t *testing.T, source, module []byte) {
		job := compileJob{language: "tengo", file: "main", source: source, modules: map[string][]byte{"m": module}}
		result := job.compile(defaultLimits(), runtime)
		if refusal := result.failure; refusal != nil {
			if refusal.Kind != "compile" || len(refusal.Stack) == 0 || strings.HasPrefix(refusal.Message, "internal error") {
				t.Errorf("%q, %q: %+v", source, module, refusal)
			}
		} else if (result.program == nil) == (result.needs == nil) {
			t.Errorf("%q, %q: %+v", source, module, result)
		}
	})
}
