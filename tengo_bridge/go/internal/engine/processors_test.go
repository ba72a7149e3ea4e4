package engine

import (
	"runtime"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

func TestOnlyWhileARunGoesOnAreAllProcessorsUsed(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	if all < 2 {
		t.Skip("there is one processor only")
	}
	c := connect(t)
	c.compiles("for {}")
	c.compiles("times := import(\"times\"); times.sleep(15 * times.millisecond)")
	shortly := func() {
		c.finish(c.start("times := import(\"times\"); times.sleep(15 * times.millisecond)", 60_000, nil, ""))
	}
	untilProcessors(t, 1, shortly)
	id := c.start("for {}", 60_000, nil, "")
	untilProcessors(t, all, func() {})
	c.send(frame.Frame{Kind: frame.Cancel, ID: id})
	c.finish(id)
	untilProcessors(t, 1, shortly)
}

func untilProcessors(t *testing.T, number int, meanwhile func()) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); runtime.GOMAXPROCS(0) != number; time.Sleep(time.Millisecond) {
		meanwhile()
		if time.Now().After(until) {
			t.Fatalf("%d processors are in use, not %d", runtime.GOMAXPROCS(0), number)
		}
	}
}
