package engine

import (
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// errMemory is the cause with which a run ends that takes the memory of all.
var errMemory = errors.New("the run was ended because its domain's programs needed more memory than an executor may have " +
	"(executors.memory_bytes); it had allocated most")

const (
	watchEvery   = 20 * time.Millisecond
	watchClosely = 2 * time.Millisecond // when half of the memory is in use
	// watchPatience is how long all runs that begin are kept waiting for a run that was ended to let go of its memory.
	watchPatience = 250 * time.Millisecond
)

// watch ends runs before their memory ends the process. The kernel's limit remains, for what grows faster than the
// watch looks.
type watch struct {
	runs   *table[uint32, *run]
	limit  int64 // of the heap, in bytes
	wakeUp chan struct{}
	stop   chan struct{}

	processors *processors
	compiling  atomic.Int64 // how much is being compiled

	relieving sync.RWMutex // held while memory is set free
	victim    *run         // that was ended for it, until it is seen to have left; whoever frees memory reads and changes it
}

// newWatch makes one that keeps the heap to a limit, or to none if that is 0.
func newWatch(runs *table[uint32, *run], heapBytes int64) *watch {
	if heapBytes == 0 {
		heapBytes = math.MaxInt64
	}
	return &watch{
		runs: runs, limit: heapBytes, wakeUp: make(chan struct{}, 1), stop: make(chan struct{}), processors: newProcessors(),
	}
}

// wake makes it look, until no run is under way any more. It never waits.
func (w *watch) wake() {
	select {
	case w.wakeUp <- struct{}{}:
	default:
	}
}

// admit waits while memory is set free, which a run that begins would take at once.
func (w *watch) admit() {
	w.relieving.RLock()
	defer w.relieving.RUnlock()
}

// watch looks at the memory, and for how long runs have gone on, while there is work, until the watch is stopped.
func (w *watch) watch() {
	defer w.processors.close()
	for {
		select {
		case <-w.wakeUp:
		case <-w.stop:
			return
		}
		for w.isBusy() && w.waits(w.interval()) {
			w.shareProcessors()
			w.look()
		}
		w.forget()
	}
}

func (w *watch) isBusy() bool { return w.runs.size() > 0 || w.compiling.Load() > 0 }

// shareProcessors has them all in use while something is being compiled, or a run goes on for longer than from one look
// to the next.
func (w *watch) shareProcessors() {
	long := w.compiling.Load() > 0
	for _, each := range w.runs.values() {
		long = long || time.Since(each.started) > watchEvery
	}
	if long {
		w.processors.useAll()
	} else {
		w.processors.useOne()
	}
}

func (w *watch) look() {
	switch {
	case w.exceeded():
		w.relieve()
	case liveBytes() < w.limit/4:
		w.startCounting()
		w.forget()
	}
}

// makeRoom is called by a run whenever it has taken much more memory: it may take all of it faster than the watch looks.
// Whatever is garbage is collected first; then the greediest run ends, be it this one.
func (w *watch) makeRoom(asking *run) {
	if heapBytes() < w.limit/10*9 || !w.relieving.TryLock() {
		return
	}
	defer w.relieving.Unlock()
	if w.victim != nil && w.underWay(w.victim) {
		return // its memory is what there is to wait for
	}
	runtime.GC()
	if heapBytes() < w.limit/10*9 {
		return
	}
	if w.choose() && w.victim != asking { // which ends at its next loop or call
		w.await()
	}
}

func (w *watch) interval() time.Duration {
	if heapBytes() > w.limit/2 {
		return watchClosely
	}
	return watchEvery
}

// exceeded tells whether too much was alive when the collector last looked, or has come up since. The collector looks
// the more often the less is left, so that it keeps what is not alive from coming up to the limit.
func (w *watch) exceeded() bool {
	return liveBytes() > w.limit/10*7 || heapBytes() > w.limit
}

// waits tells whether the watch goes on after that time.
func (w *watch) waits(duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stop:
		return false
	}
}

// relieve ends the greediest run, and waits for its memory.
func (w *watch) relieve() {
	w.relieving.Lock()
	defer w.relieving.Unlock()
	if w.exceeded() && w.choose() { // still: a run may have made room for itself
		w.await()
	}
}

// choose ends the greediest run, and tells whether it has ended one. As long as the memory of one that was ended before is
// still to come nobody else need end for it; and once it has come it must first be seen how much is left.
func (w *watch) choose() bool {
	if w.victim != nil {
		w.collect()
		return false
	}
	w.victim = w.greediest()
	if w.victim != nil {
		w.victim.end(errMemory)
	}
	return w.victim != nil
}

// await waits for the victim's memory, but not for ever: what does not stop must not keep others from beginning.
func (w *watch) await() {
	for until := time.Now().Add(watchPatience); w.underWay(w.victim) && time.Now().Before(until); {
		if !w.waits(time.Millisecond) {
			return
		}
	}
	w.collect()
}

// collect sets free what the victim has left behind, if it has left.
func (w *watch) collect() {
	if !w.underWay(w.victim) {
		w.victim = nil
		debug.FreeOSMemory()
	}
}

// forget keeps a victim that has left from being held on to.
func (w *watch) forget() {
	w.relieving.Lock()
	defer w.relieving.Unlock()
	if w.victim != nil {
		w.collect()
	}
}

// startCounting has what the runs have allocated so far forgotten: little of it is alive.
func (w *watch) startCounting() {
	for _, each := range w.runs.values() {
		each.forgiven.Store(each.allocated())
	}
}

// greediest gives the run that has allocated most since little was alive. What it has kept of that nobody knows.
func (w *watch) greediest() (found *run) {
	var most int64
	for _, each := range w.runs.values() {
		if allocated := each.allocated() - each.forgiven.Load(); allocated > most && each.ctx.Err() == nil {
			most, found = allocated, each
		}
	}
	return found
}

func (w *watch) underWay(r *run) bool {
	current, ok := w.runs.get(r.id)
	return ok && current == r
}

// liveBytes is what was alive on the heap when the collector last looked.
func liveBytes() int64 {
	return readMetric("/gc/heap/live:bytes")
}

// heapBytes is what is on the heap, alive or not.
func heapBytes() int64 {
	return readMetric("/memory/classes/heap/objects:bytes")
}

func readMetric(name string) int64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
