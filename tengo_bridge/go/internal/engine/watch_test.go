package engine

import (
	"runtime/debug"
	"testing"

	"selfhost/libtengo/internal/frame"
)

// The test's own process stands for the executor.
func TestARunThatHoardsMemoryIsEndedAndItsNeighbourIsNot(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(-1) })
	c := connect(t)
	memory := int64(64 << 20)
	c.configure(frame.ConfigureMeta{MemoryBytes: &memory})
	neighbour := `times := import("times"); for { a := range(0, 1000); times.sleep(times.millisecond) }`
	c.compiles(neighbour)
	beside := c.start(neighbour, 60_000, nil, "")
	for _, source := range []string{
		"a := []; for { a = append(a, range(0, 1000)) }",
		"a := []; for { a = append(a, bytes(8000000)) }",
		"a := []; for { a = append(a, bytes(100000)) }",
		"a := []; for i := 0; true; i++ { a = append(a, {a: i, b: [i]}) }",
		`a := []; for i := 0; true; i++ { a = append(a, import("text").repeat("x", 100000)) }`,
		"a := []; for i := 0; true; i++ { f := func(n) { return func() { return n } }; a = append(a, [f(i), f(i)]) }",
	} {
		c.compiles(source)
		id := c.start(source, 20_000, nil, "")
		if got := c.finish(id).failure(t); got.Kind != "memory" || got.Message != errMemory.Error() || len(got.Stack) == 0 {
			t.Errorf("%s: %+v", source, got)
		}
	}
	c.send(frame.Frame{Kind: frame.Cancel, ID: beside})
	if done := c.finish(beside); done.Outcome != "cancelled" {
		t.Errorf("%+v", done)
	}
}
