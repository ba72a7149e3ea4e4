// Package machine runs what Tengo's compiler makes. It gives a program the same meaning as Tengo's own virtual machine,
// and bounds what that one leaves unbounded: arrays and maps, values that contain themselves, Go's own stack. It always
// knows where in its source a program is.
package machine

import "github.com/d5/tengo/v2"

// The integers that are not made anew whenever they come up. Nothing in Tengo changes an integer.
const (
	leastShared = -128
	numShared   = 1152
)

// Limits bounds what one run may use.
type Limits struct {
	Elements    int   // of one array or map
	Allocations int64 // of values, as Tengo counts them; -1: any number
}

// Runtime is what all machines under the same limits share. Nothing in it changes.
type Runtime struct {
	limits   Limits
	builtins []tengo.Object
	integers [numShared]tengo.Int
}

// NewRuntime makes the builtin functions and the small integers.
func NewRuntime(limits Limits) *Runtime {
	r := &Runtime{limits: limits, builtins: newBuiltins()}
	for i := range r.integers {
		r.integers[i].Value = int64(i) + leastShared
	}
	return r
}

func (r *Runtime) integer(value int64) tengo.Object {
	if i := uint64(value - leastShared); i < numShared {
		return &r.integers[i]
	}
	return &tengo.Int{Value: value}
}

func boolean(value bool) tengo.Object {
	if value {
		return tengo.TrueValue
	}
	return tengo.FalseValue
}
