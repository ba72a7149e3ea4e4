package engine

import (
	"math"
	"runtime/debug"
	"syscall"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

// maxAnswerBytes leaves room in a frame for the answer's headers.
const maxAnswerBytes = frame.MaxBytes - 1<<20

// limits bounds what programs may use.
type limits struct {
	stringBytes int
	allocations int64 // -1: any number
	elements    int   // of one array or map
	sourceBytes int   // of a program, and of each of its modules
	nesting     int   // of a source
	modules     int   // that one program may reach
	importDepth int
	memoryBytes int64 // 0: unbounded; Go collects its garbage the harder, the closer it comes
	client      modules.ClientOptions
	run         modules.Limits
}

func defaultLimits() limits {
	return limits{
		stringBytes: 8 << 20,
		allocations: -1,
		elements:    1_000_000,
		sourceBytes: 1 << 20,
		nesting:     2000,
		modules:     64,
		importDepth: 32,
		client: modules.ClientOptions{
			Redirects: 10,
			Parallel:  128,
		},
		run: modules.Limits{
			LogLines:        1000,
			LogBytes:        256 << 10,
			AnswerBytes:     8 << 20,
			HTTPAnswerBytes: 8 << 20,
			HTTPCalls:       100,
			Elements:        1_000_000,
		},
	}
}

// configured gives the limits with what the worker has chosen.
func (l limits) configured(chosen frame.ConfigureMeta) limits {
	replace(&l.stringBytes, chosen.MaxStringBytes)
	replace(&l.allocations, chosen.MaxAllocations)
	replace(&l.elements, chosen.MaxElements)
	replace(&l.run.Elements, chosen.MaxElements)
	replace(&l.sourceBytes, chosen.MaxSourceBytes)
	replace(&l.nesting, chosen.MaxNesting)
	replace(&l.modules, chosen.MaxModules)
	replace(&l.importDepth, chosen.MaxImportDepth)
	replace(&l.client.Redirects, chosen.MaxHTTPRedirects)
	replace(&l.client.Parallel, chosen.MaxHTTPParallel)
	l.client.Egress = chosen.Egress
	replace(&l.memoryBytes, chosen.MemoryBytes)
	replace(&l.run.LogLines, chosen.MaxLogLines)
	replace(&l.run.LogBytes, chosen.MaxLogBytes)
	replace(&l.run.AnswerBytes, chosen.MaxAnswerBytes)
	replace(&l.run.HTTPAnswerBytes, chosen.MaxHTTPAnswerBytes)
	replace(&l.run.HTTPCalls, chosen.MaxHTTPCalls)
	l.run.AnswerBytes = min(l.run.AnswerBytes, maxAnswerBytes)
	return l
}

func (l limits) ofMachines() machine.Limits {
	return machine.Limits{Elements: l.elements, Allocations: l.allocations}
}

func replace[T any](limit *T, chosen *T) {
	if chosen != nil {
		*limit = *chosen
	}
}

// applyToProcess sets the limits that Tengo and Go know for the whole process only. They are left alone where they are
// right already, as other runs of this process may be reading them.
func (l limits) applyToProcess() {
	if tengo.MaxStringLen != l.stringBytes {
		tengo.MaxStringLen = l.stringBytes
	}
	if tengo.MaxBytesLen != l.stringBytes {
		tengo.MaxBytesLen = l.stringBytes
	}
	if l.memoryBytes > 0 {
		debug.SetMemoryLimit(l.heapBytes())
	}
}

// besidesHeap is what an executor takes of the kernel's limit beside Go's heap: Python, stacks of threads, and what Go
// sets aside to keep account of its heap. Measured at rest: 90 MB.
const besidesHeap = 96 << 20

// heapBytes is how large Go's heap may become: what the worker says, but no more than the kernel leaves room for.
func (l limits) heapBytes() int64 {
	var kernel syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &kernel); err != nil || kernel.Cur > math.MaxInt64 {
		return l.memoryBytes // there is no limit
	}
	room := int64(kernel.Cur) - besidesHeap
	return min(l.memoryBytes, max(room, besidesHeap/4)/8*7)
}
