package machine

import (
	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// measure adds up about how many bytes a value takes that a function has made, with all that is in it. It stops where
// so many parts have been counted that it is plain that the value is large.
type measure struct {
	parts int
	bytes int
}

// madeBytes is about how many bytes a new value takes, with all that is in it.
func madeBytes(value tengo.Object) int {
	if !container(value) {
		return sizeOf(value)
	}
	var taken measure
	taken.add(value)
	return taken.bytes
}

// add counts a value and its parts. What small values take counts with the places where they are.
func (m *measure) add(value tengo.Object) {
	if m.parts == maxParts {
		return
	}
	m.parts++
	switch value := value.(type) {
	case *tengo.Int, *tengo.Float, *tengo.Bool, *tengo.Char, *tengo.Undefined:
		return
	case *tengo.Error:
		m.bytes += scalarSize
		m.add(value.Value)
		return
	}
	m.bytes += sizeOf(value)
	values, _ := containers.Elements(value)
	for _, each := range values {
		m.add(each)
	}
	entries, _ := containers.Entries(value)
	for key, each := range entries {
		m.bytes += len(key)
		m.add(each)
	}
}
