package engine

import (
	"testing"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
)

const fibonacci = `
fib := func(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }
x := fib(20)`

// BenchmarkRun is the whole way of a trivial run, from its Run frame to its Done frame, many in flight at once.
func BenchmarkRun(b *testing.B) {
	benchmarkRuns(b, "x := 1")
}

// BenchmarkFibonacci compares with BenchmarkFibonacciBare.
func BenchmarkFibonacci(b *testing.B) {
	benchmarkRuns(b, fibonacci)
}

func benchmarkRuns(b *testing.B, source string) {
	c := connect(b)
	c.compiles(source)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		run := mustMessage(frame.Run, 0, frame.RunMeta{Key: source, DeadlineMS: 60_000})
		var batch []byte
		for i := range b.N {
			run.ID = uint32(i)
			batch = append(batch, mustEncode(run)...)
			if i%32 == 31 || i == b.N-1 {
				if _, err := c.conn.Write(batch); err != nil {
					panic(err)
				}
				batch = batch[:0]
			}
		}
	}()
	for range b.N {
		c.next()
	}
}

// BenchmarkFibonacciBare is a machine used again and again with nothing around it.
func BenchmarkFibonacciBare(b *testing.B) {
	job := compileJob{language: "tengo", file: "main", source: []byte(fibonacci)}
	bytecode, globals, err := job.bytecode()
	if err != nil {
		b.Fatal(err)
	}
	vm := tengo.NewVM(bytecode, make([]tengo.Object, globals+1), -1)
	for b.Loop() {
		if err := vm.Run(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	job := compileJob{language: "tengo", file: "main", source: []byte(fibonacci)}
	runtime := machine.NewRuntime(defaultLimits().ofMachines())
	for b.Loop() {
		if result := job.compile(defaultLimits(), runtime); result.failure != nil {
			b.Fatal(result.failure)
		}
	}
}
