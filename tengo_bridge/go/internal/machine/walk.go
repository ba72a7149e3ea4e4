package machine

import (
	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// What Go's own code, which follows a value into all its parts, may be given. A program can make a value that contains
// itself, at which such code would never stop and then take the whole process down; and with few steps one with more
// parts than could ever be visited, as a part may be in many places.
const (
	maxDepth  = 1000      // of values in values
	maxParts  = 4_000_000 // a part counts each time it is met
	maxText   = 64 << 20  // bytes; texts count once per level, as often as they are copied when a value becomes text
	lookEvery = 1 << 12   // parts, for whether the run has been aborted
)

// walkable refuses values that must not be given to code that walks through them.
func (m *Machine) walkable(values ...tengo.Object) error {
	w := walk{machine: m}
	return w.containers(values)
}

// walk goes through all parts of values.
type walk struct {
	machine *Machine
	parts   int
	text    int
	bytes   int // of type bytes, which a copy does not share
}

func (w *walk) containers(values []tengo.Object) error {
	for _, value := range values {
		if container(value) {
			if err := w.value(value, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) value(value tengo.Object, depth int) error {
	if err := w.visit(depth); err != nil {
		return err
	}
	switch value := value.(type) {
	case *tengo.String:
		return w.read(len(value.Value), depth)
	case *tengo.Bytes:
		w.bytes += len(value.Value)
		return w.read(len(value.Value), depth)
	case *tengo.Error:
		return w.value(value.Value, depth+1)
	}
	if values, ok := containers.Elements(value); ok {
		return w.elements(values, depth+1)
	}
	if values, ok := containers.Entries(value); ok {
		return w.entries(values, depth+1)
	}
	return nil
}

func (w *walk) elements(values []tengo.Object, depth int) error {
	for _, value := range values {
		if err := w.value(value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entries(values map[string]tengo.Object, depth int) error {
	for key, value := range values {
		if err := w.read(len(key), 1); err != nil {
			return err
		}
		if err := w.value(value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visit(depth int) error {
	w.parts++
	if depth > maxDepth {
		return errNested
	}
	if w.parts > maxParts {
		return errParts
	}
	if w.parts%lookEvery == 0 && w.machine.aborted.Load() {
		return ErrAborted
	}
	return nil
}

func (w *walk) read(bytes, depth int) error {
	w.text += bytes * depth
	if w.text > maxText {
		return errText
	}
	return nil
}
