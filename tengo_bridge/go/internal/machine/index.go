package machine

import (
	"fmt"

	"github.com/d5/tengo/v2"
)

// index puts the element of a value in place of the value and the index.
func (m *Machine) index() error {
	m.height--
	of, index := m.stack[m.height-1], m.stack[m.height]
	if err := m.checkIndex(of, index); err != nil {
		return err
	}
	value, err := of.IndexGet(index)
	switch err {
	case nil:
		m.stack[m.height-1] = known(value)
		return nil
	case tengo.ErrNotIndexable:
		return fmt.Errorf("not indexable: %s", index.TypeName())
	case tengo.ErrInvalidIndexType:
		return fmt.Errorf("invalid index type: %s", index.TypeName())
	default:
		return err
	}
}

// checkIndex looks at an index that will be turned into text, as all indexes but those of arrays and texts are.
func (m *Machine) checkIndex(of, index tengo.Object) error {
	if !container(index) {
		return nil
	}
	switch of.(type) {
	case *tengo.Map, *tengo.ImmutableMap, *tengo.Error:
		return m.walkable(index)
	default:
		return nil
	}
}

// assign sets an element of a value, or of an element of it, and so on. The selectors, so many of them, are on the
// stack, the innermost first, and the new element beneath them.
func (m *Machine) assign(to tengo.Object, number int) error {
	selectors := m.stack[m.height-number : m.height]
	value := m.stack[m.height-number-1]
	m.height -= number + 1
	for i := number - 1; i > 0; i-- {
		if err := m.checkIndex(to, selectors[i]); err != nil {
			return err
		}
		next, err := to.IndexGet(selectors[i])
		if err != nil {
			return selectError(err, to, selectors[i])
		}
		to = known(next)
	}
	return m.set(to, selectors[0], value)
}

func selectError(err error, of, index tengo.Object) error {
	switch err {
	case tengo.ErrNotIndexable:
		return fmt.Errorf("not indexable: %s", of.TypeName())
	case tengo.ErrInvalidIndexType:
		return fmt.Errorf("invalid index type: %s", index.TypeName())
	default:
		return err
	}
}

func (m *Machine) set(of, index, value tengo.Object) error {
	if err := m.checkIndex(of, index); err != nil {
		return err
	}
	if entries, ok := of.(*tengo.Map); ok {
		return m.setEntry(entries, index, value)
	}
	switch err := of.IndexSet(index, value); err {
	case tengo.ErrNotIndexAssignable:
		return fmt.Errorf("not index-assignable: %s", of.TypeName())
	case tengo.ErrInvalidIndexValueType:
		return fmt.Errorf("invaid index value type: %s", value.TypeName())
	default:
		return err
	}
}

func (m *Machine) setEntry(of *tengo.Map, index, value tengo.Object) error {
	key, ok := tengo.ToString(index)
	if !ok {
		return tengo.ErrInvalidIndexType
	}
	before := len(of.Value)
	if before >= m.runtime.limits.Elements {
		if _, there := of.Value[key]; !there {
			return elementsError(m.runtime.limits.Elements)
		}
	}
	of.Value[key] = value
	if len(of.Value) > before {
		m.spend(entrySize + len(key))
	}
	return nil
}

// slice puts a part of a value in place of the value and the two ends of the part.
func (m *Machine) slice() error {
	m.height -= 2
	of, low, high := m.stack[m.height-1], m.stack[m.height], m.stack[m.height+1]
	from, err := sliceIndex(low, 0)
	if err != nil {
		return err
	}
	length, ok := sliceable(of)
	if !ok {
		return fmt.Errorf("not indexable: %s", of.TypeName())
	}
	to, err := sliceIndex(high, int64(length))
	if err != nil {
		return err
	}
	if from > to {
		return fmt.Errorf("invalid slice index: %d > %d", from, to)
	}
	return m.replace(part(of, within(from, length), within(to, length)), textSize)
}

func sliceIndex(index tengo.Object, otherwise int64) (int64, error) {
	if index == tengo.UndefinedValue {
		return otherwise, nil
	}
	number, ok := index.(*tengo.Int)
	if !ok {
		return 0, fmt.Errorf("invalid slice index type: %s", index.TypeName())
	}
	return number.Value, nil
}

func sliceable(value tengo.Object) (length int, ok bool) {
	switch value := value.(type) {
	case *tengo.Array:
		return len(value.Value), true
	case *tengo.ImmutableArray:
		return len(value.Value), true
	case *tengo.String:
		return len(value.Value), true
	case *tengo.Bytes:
		return len(value.Value), true
	default:
		return 0, false
	}
}

func within(index int64, length int) int {
	return int(min(max(index, 0), int64(length)))
}

// part is a part of something sliceable; a part of an immutable array is a mutable one.
func part(of tengo.Object, from, to int) tengo.Object {
	switch of := of.(type) {
	case *tengo.Array:
		return &tengo.Array{Value: of.Value[from:to]}
	case *tengo.ImmutableArray:
		return &tengo.Array{Value: of.Value[from:to]}
	case *tengo.String:
		return &tengo.String{Value: of.Value[from:to]}
	default:
		return &tengo.Bytes{Value: of.(*tengo.Bytes).Value[from:to]}
	}
}
