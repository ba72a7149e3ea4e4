package engine

import (
	"runtime/debug"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/modules"
)

// maxAnswerBytes leaves room in a frame for the answer's headers.
const maxAnswerBytes = frame.MaxBytes - 1<<20

// limits bounds what programs may use.
type limits struct {
	stringBytes   int
	allocations   int64 // -1: any number
	httpRedirects int
	memoryBytes   int64 // 0: unbounded; Go collects its garbage the harder, the closer it comes
	run           modules.Limits
}

func defaultLimits() limits {
	return limits{
		stringBytes:   8 << 20,
		allocations:   -1,
		httpRedirects: 10,
		run: modules.Limits{
			LogLines:        1000,
			LogBytes:        256 << 10,
			AnswerBytes:     8 << 20,
			HTTPAnswerBytes: 8 << 20,
		},
	}
}

// configured gives the limits with what the worker has chosen.
func (l limits) configured(chosen frame.ConfigureMeta) limits {
	replace(&l.stringBytes, chosen.MaxStringBytes)
	replace(&l.allocations, chosen.MaxAllocations)
	replace(&l.httpRedirects, chosen.MaxHTTPRedirects)
	replace(&l.memoryBytes, chosen.MemoryBytes)
	replace(&l.run.LogLines, chosen.MaxLogLines)
	replace(&l.run.LogBytes, chosen.MaxLogBytes)
	replace(&l.run.AnswerBytes, chosen.MaxAnswerBytes)
	replace(&l.run.HTTPAnswerBytes, chosen.MaxHTTPAnswerBytes)
	l.run.AnswerBytes = min(l.run.AnswerBytes, maxAnswerBytes)
	return l
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
		debug.SetMemoryLimit(l.memoryBytes)
	}
}
