package machine

import (
	"sync/atomic"

	"github.com/d5/tengo/v2"
)

const (
	firstStack  = 128 // values
	firstFrames = 8
	// publishBytes is how many bytes a run allocates before it says so to other goroutines.
	publishBytes = 16 << 10
	// largeBytes is how many bytes a run allocates before it calls OnLarge.
	largeBytes = 4 << 20
)

// Machine runs a program, once at a time.
type Machine struct {
	*Image
	constants []tengo.Object
	variables []tengo.Object // the global ones
	stack     []tengo.Object // longer than what is used of it by what the running function may need
	height    int            // of the stack
	frames    []frame
	depth     int // how many frames are in use

	// OnLarge, if it is set, is called whenever much more memory has been allocated.
	OnLarge func()

	allocations int64 // left until the limit is reached; it is when this becomes 0
	unpublished int   // bytes
	unseen      int   // bytes since OnLarge was called
	allocated   atomic.Int64
	aborted     atomic.Bool
}

// frame is a call that has not returned.
type frame struct {
	function *function
	base     int // where the locals start on the stack
	next     int // the instruction that comes next
}

// New makes a machine with constants of its own, which are the program's but for its functions. Those it puts in.
func (i *Image) New(constants []tengo.Object) *Machine {
	for at, function := range i.functions {
		constants[at] = function
	}
	return &Machine{
		Image: i, constants: constants, variables: make([]tengo.Object, i.globals+1),
		stack: make([]tengo.Object, max(firstStack, i.main.code.operands)), frames: make([]frame, firstFrames),
	}
}

// Run runs the program from its beginning to its end, or to an *Error: what went wrong in the program, a limit, a panic
// of Go, or ErrAborted.
func (m *Machine) Run() (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Error{panicked(value), m.Places()}
		}
	}()
	m.begin()
	if m.aborted.Load() {
		return &Error{ErrAborted, m.Places()}
	}
	if err := m.execute(); err != nil {
		return &Error{err, m.Places()}
	}
	return nil
}

func (m *Machine) begin() {
	m.height, m.depth = 0, 1
	m.frames[0] = frame{function: m.main}
	m.allocations = m.runtime.limits.Allocations + 1
	m.unpublished, m.unseen = 0, 0
	m.allocated.Store(0)
}

// Abort ends the run at its next loop, call or operation that may take long, or the next one at its start. It may be called by any goroutine.
func (m *Machine) Abort() { m.aborted.Store(true) }

// Reset makes the machine forget the run, and that it was aborted.
func (m *Machine) Reset() {
	clear(m.variables)
	clear(m.stack)
	clear(m.frames)
	m.OnLarge = nil
	m.aborted.Store(false)
}

// Places tells where the program has ended or was ended, innermost first. The run must be over, but not be forgotten.
func (m *Machine) Places() []string {
	files := *m.files // looking up a place leaves a note in it
	places := make([]string, 0, m.depth)
	for at := m.depth - 1; at >= 0; at-- {
		f := m.frames[at]
		places = append(places, files.Position(f.function.code.place(f.next-1)).String())
	}
	return places
}

// Allocated is about how many bytes the run has allocated so far. Any goroutine may ask.
func (m *Machine) Allocated() int64 { return m.allocated.Load() }

// spend takes note of an allocation.
func (m *Machine) spend(bytes int) {
	m.unpublished += bytes
	if m.unpublished < publishBytes {
		return
	}
	m.allocated.Add(int64(m.unpublished))
	m.unseen += m.unpublished
	m.unpublished = 0
	if m.unseen >= largeBytes && m.OnLarge != nil {
		m.unseen = 0
		m.OnLarge()
	}
}

// allocate counts one value. It counts those that Tengo counts, whether memory is taken or not.
func (m *Machine) allocate() error {
	m.allocations--
	if m.allocations == 0 {
		return tengo.ErrObjectAllocLimit
	}
	return nil
}

// reserve makes room on the stack.
func (m *Machine) reserve(height int) {
	if height > len(m.stack) {
		stack := make([]tengo.Object, max(height, 2*len(m.stack)))
		copy(stack, m.stack)
		m.stack = stack
	}
}
