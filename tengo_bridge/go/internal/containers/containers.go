// Package containers looks into Tengo's values that hold others, be they immutable or not.
package containers

import "github.com/d5/tengo/v2"

// Elements gives the values of an array.
func Elements(value tengo.Object) (values []tengo.Object, ok bool) {
	switch value := value.(type) {
	case *tengo.Array:
		return value.Value, true
	case *tengo.ImmutableArray:
		return value.Value, true
	default:
		return nil, false
	}
}

// Entries gives the values of a map.
func Entries(value tengo.Object) (values map[string]tengo.Object, ok bool) {
	switch value := value.(type) {
	case *tengo.Map:
		return value.Value, true
	case *tengo.ImmutableMap:
		return value.Value, true
	default:
		return nil, false
	}
}
