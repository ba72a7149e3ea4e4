package engine

import (
	"errors"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// errMemory is the cause with which a run ends that takes the memory of all.
var errMemory = errors.New("the run was ended because its domain's programs needed more memory than an executor may have " +
	"(executors.memory_bytes); it had allocated most")

const (
	watchEvery = 20 * time.Millisecond
	// watchPatience is how long a run that was ended may take to let go of its memory, before another one must end too.
	watchPatience = 250 * time.Millisecond
	// What may live on the heap is less than the limit: the collector needs room for what it has not looked at yet.
	watchNumerator, watchDenominator = 7, 10
)

// watch ends runs before their memory ends the process. The kernel's limit remains, for what grows faster than the
// watch looks.
type watch struct {
	runs   *table[uint32, *run]
	bytes  int64 // that may live on the heap
	wakeUp chan struct{}
	stop   chan struct{}
}

// newWatch makes one that keeps to a limit, or to none if that is 0.
func newWatch(runs *table[uint32, *run], memoryBytes int64) *watch {
	w := &watch{runs: runs, bytes: math.MaxInt64, wakeUp: make(chan struct{}, 1), stop: make(chan struct{})}
	if memoryBytes > 0 {
		w.bytes = memoryBytes / watchDenominator * watchNumerator
	}
	return w
}

// wake makes it look, until no run is under way any more. It never waits.
func (w *watch) wake() {
	select {
	case w.wakeUp <- struct{}{}:
	default:
	}
}

// watch looks at the memory while there are runs, until the watch is stopped.
func (w *watch) watch() {
	for {
		select {
		case <-w.wakeUp:
		case <-w.stop:
			return
		}
		for w.runs.size() > 0 && w.waits(watchEvery) {
			if liveBytes() > w.bytes {
				w.relieve()
			}
		}
	}
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

// relieve ends the run that has allocated most, and waits for its memory.
func (w *watch) relieve() {
	victim := w.greediest()
	if victim == nil {
		return
	}
	victim.end(errMemory)
	for until := time.Now().Add(watchPatience); time.Now().Before(until) && w.underWay(victim); {
		if !w.waits(time.Millisecond) {
			return
		}
	}
	debug.FreeOSMemory()
}

func (w *watch) greediest() (found *run) {
	var most int64
	for _, each := range w.runs.values() {
		if allocated := each.allocated(); allocated > most && each.ctx.Err() == nil {
			most, found = allocated, each
		}
	}
	return found
}

func (w *watch) underWay(r *run) bool {
	current, ok := w.runs.get(r.id)
	return ok && current == r
}

// liveBytes is what was alive on the heap when the collector last looked. It looks the more often the less is left.
func liveBytes() int64 {
	return readMetric("/gc/heap/live:bytes")
}

func heapBytes() int64 {
	return readMetric("/memory/classes/heap/objects:bytes")
}

func readMetric(name string) int64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
