package machine

import (
	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// About how many bytes values take.
const (
	slotSize   = 24 // of an array, with what a small value takes
	arraySize  = 32
	entrySize  = 64 // of a map, without its key
	mapSize    = 64
	textSize   = 40
	scalarSize = 16
	partSize   = 48 // of a value that is copied, with its place in the one that it is in
)

// container tells whether there may be values in a value.
func container(value tengo.Object) bool {
	switch value.(type) {
	case *tengo.Array, *tengo.ImmutableArray, *tengo.Map, *tengo.ImmutableMap, *tengo.Error:
		return true
	default:
		return false
	}
}

// count is how many elements an array or map has.
func count(value tengo.Object) int {
	if values, ok := containers.Elements(value); ok {
		return len(values)
	}
	values, _ := containers.Entries(value)
	return len(values)
}

// sizeOf is about how many bytes a value takes that a function has made, without what is in its elements.
func sizeOf(value tengo.Object) int {
	switch value := value.(type) {
	case *tengo.String:
		return textSize + len(value.Value)
	case *tengo.Bytes:
		return textSize + cap(value.Value)
	case *tengo.Array:
		return arraySize + slotSize*len(value.Value)
	case *tengo.ImmutableArray:
		return arraySize + slotSize*len(value.Value)
	case *tengo.Map:
		return mapSize + entrySize*len(value.Value)
	case *tengo.ImmutableMap:
		return mapSize + entrySize*len(value.Value)
	default:
		return scalarSize
	}
}
