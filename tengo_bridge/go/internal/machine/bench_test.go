package machine

import (
	"slices"
	"testing"

	"github.com/d5/tengo/v2"
)

// benchmarked has programs that spend their time in different ways.
var benchmarked = map[string]string{
	"fib":     "fib := func(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }; x := fib(20)",
	"loop":    "f := func() { s := 0; for i := 0; i < 10000; i++ { s += i % 7 }; return s }; x := f()",
	"array":   "a := []; for i := 0; i < 1000; i++ { a = append(a, i) }; s := 0; for v in a { s += v }",
	"map":     `m := {}; for i := 0; i < 1000; i++ { m[i] = i }; s := 0; for k, v in m { s += m[k] }`,
	"closure": "c := func() { n := 0; return func() { n += 1; return n } }(); for i := 0; i < 1000; i++ { c() }",
	"text":    `s := ""; for i := 0; i < 200; i++ { s += "x" + i }; n := 0; for c in s { if c == 'x' { n++ } }`,
	"float":   "f := func() { x := 0.0; for i := 0; i < 1000; i++ { x = x * 0.5 + 1.5 }; return x }; y := f()",
	"trivial": "x := 1",
}

func BenchmarkOurs(b *testing.B) {
	for name, source := range benchmarked {
		b.Run(name, func(b *testing.B) {
			m := mustCompile(b, source).machine(Limits{Elements: 1_000_000, Allocations: -1})
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Run(); err != nil {
					b.Fatal(err)
				}
				m.Reset()
			}
		})
	}
}

func BenchmarkTengo(b *testing.B) {
	for name, source := range benchmarked {
		b.Run(name, func(b *testing.B) {
			program := mustCompile(b, source)
			globals := make([]tengo.Object, program.globals+1)
			vm := tengo.NewVM(program.copied(), globals, -1)
			b.ReportAllocs()
			for b.Loop() {
				if err := vm.Run(); err != nil {
					b.Fatal(err)
				}
				clear(globals)
			}
		})
	}
}

func BenchmarkNewMachine(b *testing.B) {
	program := mustCompile(b, benchmarked["fib"])
	image := NewRuntime(Limits{Elements: 1_000_000, Allocations: -1}).Load(program.bytecode, program.globals)
	b.ReportAllocs()
	for b.Loop() {
		image.New(slices.Clone(program.bytecode.Constants))
	}
}

func BenchmarkLoad(b *testing.B) {
	program := mustCompile(b, benchmarked["fib"])
	runtime := NewRuntime(Limits{Elements: 1_000_000, Allocations: -1})
	b.ReportAllocs()
	for b.Loop() {
		runtime.Load(program.bytecode, program.globals)
	}
}
