package engine

import (
	"runtime"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

func TestOnlyWhileARunGoesOnAreAllProcessorsUsed(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	c := connect(t)
	c.compiles("for {}")
	id := c.start("for {}", 60_000, nil, "")
	untilProcessors(t, all)
	c.send(frame.Frame{Kind: frame.Cancel, ID: id})
	c.finish(id)
	untilProcessors(t, 1)
}

func untilProcessors(t *testing.T, number int) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); runtime.GOMAXPROCS(0) != number; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d processors are in use, not %d", runtime.GOMAXPROCS(0), number)
		}
	}
}
