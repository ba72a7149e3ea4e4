package engine

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
	"time"

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

// beside gives runs that are under way, the greediest first, and a watch over them that finds any memory too much.
func beside(t *testing.T, number int) (*watch, []*run) {
	t.Helper()
	runs := newTable[uint32, *run]()
	w := newWatch(runs, 1)
	all := make([]*run, number)
	for i := range all {
		ctx, cancel := context.WithCancelCause(context.Background())
		t.Cleanup(func() { cancel(nil) })
		all[i] = &run{id: uint32(i), ctx: ctx, cancel: cancel}
		all[i].forgiven.Store(int64(i - number))
		runs.put(all[i].id, all[i])
	}
	return w, all
}

func TestAVictimThatDoesNotStopCostsNoNeighbour(t *testing.T) {
	w, runs := beside(t, 3)
	victim, neighbour := runs[0], runs[1]
	w.look()
	if context.Cause(victim.ctx) != errMemory {
		t.Fatal("the greediest run goes on")
	}
	began := time.Now()
	for range 100 {
		w.look()
		w.makeRoom(neighbour)
	}
	if took := time.Since(began); took > 10*watchPatience {
		t.Errorf("all others were kept waiting for %v", took)
	}
	if neighbour.ctx.Err() != nil || w.victim != victim {
		t.Error("another run was ended while the victim's memory was still to come")
	}
	w.runs.remove(victim.id)
	w.look()
	if neighbour.ctx.Err() != nil || w.victim != nil {
		t.Error("another run was ended before the victim's memory was looked at")
	}
	w.look()
	if context.Cause(neighbour.ctx) != errMemory || runs[2].ctx.Err() != nil {
		t.Error("the next greediest run goes on although there is still too little memory")
	}
}

func TestAVictimThatHasLeftIsForgotten(t *testing.T) {
	w, runs := beside(t, 2)
	w.look()
	w.limit = math.MaxInt64
	w.look()
	if w.victim != runs[0] {
		t.Error("the victim was forgotten before it left")
	}
	w.runs.remove(runs[0].id)
	w.look()
	if w.victim != nil || runs[1].ctx.Err() != nil {
		t.Error("the victim is held on to, or another run was ended")
	}
}

func TestAVictimIsForgottenWithTheLastRun(t *testing.T) {
	w, runs := beside(t, 1)
	watching := make(chan struct{})
	go func() {
		w.watch()
		close(watching)
	}()
	w.wake()
	select {
	case <-runs[0].ctx.Done():
	case <-time.After(patience):
		t.Fatal("the run goes on")
	}
	w.runs.remove(runs[0].id)
	for until := time.Now().Add(patience); w.held() != nil && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if w.held() != nil {
		t.Error("the victim is held on to")
	}
	close(w.stop)
	<-watching
}

func (w *watch) held() *run {
	w.relieving.RLock()
	defer w.relieving.RUnlock()
	return w.victim
}
