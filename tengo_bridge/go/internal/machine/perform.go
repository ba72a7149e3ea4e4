package machine

import (
	"fmt"
	"math/bits"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
)

// perform carries out one of the operations that are less frequent, or take longer than to tell them apart. Some take so
// long that a program without a loop or call would not end for minutes after it was aborted.
func (m *Machine) perform(i instruction) error {
	if m.aborted.Load() {
		return ErrAborted
	}
	switch i.op {
	case parser.OpEqual:
		return m.compare(true)
	case parser.OpNotEqual:
		return m.compare(false)
	case parser.OpMinus:
		return m.negate()
	case parser.OpBComplement:
		return m.complement()
	case parser.OpArray:
		return m.makeArray(int(i.first))
	case parser.OpMap:
		return m.makeMap(int(i.first))
	case parser.OpError:
		return m.replace(&tengo.Error{Value: m.stack[m.height-1]}, scalarSize)
	case parser.OpImmutable:
		return m.makeImmutable()
	case parser.OpIndex:
		return m.index()
	case parser.OpSliceIndex:
		return m.slice()
	case parser.OpSetLocal:
		m.setLocal(int(i.first))
		return nil
	case parser.OpSetSelGlobal:
		return m.assign(m.variables[i.first], int(i.second))
	case parser.OpSetSelLocal:
		return m.assign(m.local(int(i.first)), int(i.second))
	case parser.OpSetSelFree:
		return m.assign(m.frames[m.depth-1].function.free[i.first].value, int(i.second))
	case parser.OpGetFreePtr:
		m.push(m.frames[m.depth-1].function.free[i.first])
		return nil
	case parser.OpGetLocalPtr:
		m.push(m.capture(int(i.first)))
		return nil
	case parser.OpGetBuiltin:
		m.push(m.runtime.builtins[i.first])
		return nil
	case parser.OpClosure:
		return m.makeClosure(m.constants[i.first].(*function), int(i.second))
	case parser.OpIteratorInit:
		return m.iterate()
	case parser.OpIteratorNext:
		m.stack[m.height-1] = boolean(m.stack[m.height-1].(tengo.Iterator).Next())
		return nil
	case parser.OpIteratorKey:
		m.stack[m.height-1] = m.stack[m.height-1].(tengo.Iterator).Key()
		return nil
	case parser.OpIteratorValue:
		m.stack[m.height-1] = known(m.stack[m.height-1].(tengo.Iterator).Value())
		return nil
	default:
		return fmt.Errorf("unknown opcode: %d", i.op)
	}
}

// known is a value, or undefined in place of none: that of a key that was deleted from a map while it is iterated over.
func known(value tengo.Object) tengo.Object {
	if value == nil {
		return tengo.UndefinedValue
	}
	return value
}

func (m *Machine) push(value tengo.Object) {
	m.stack[m.height] = value
	m.height++
}

// replace puts a new value of that size in place of the topmost.
func (m *Machine) replace(value tengo.Object, size int) error {
	m.stack[m.height-1] = value
	m.spend(size)
	return m.allocate()
}

func (m *Machine) compare(wanted bool) error {
	same, err := m.equal(m.stack[m.height-2], m.stack[m.height-1])
	m.height--
	m.stack[m.height-1] = boolean(same == wanted)
	return err
}

func (m *Machine) negate() error {
	switch value := m.stack[m.height-1].(type) {
	case *tengo.Int:
		return m.replace(m.runtime.integer(-value.Value), scalarSize)
	case *tengo.Float:
		return m.replace(&tengo.Float{Value: -value.Value}, scalarSize)
	default:
		return fmt.Errorf("invalid operation: -%s", value.TypeName())
	}
}

func (m *Machine) complement() error {
	value, ok := m.stack[m.height-1].(*tengo.Int)
	if !ok {
		return fmt.Errorf("invalid operation: ^%s", m.stack[m.height-1].TypeName())
	}
	return m.replace(m.runtime.integer(^value.Value), scalarSize)
}

// makeArray takes its elements from the stack, so many of them.
func (m *Machine) makeArray(number int) error {
	if number > m.runtime.limits.Elements {
		return elementsError(m.runtime.limits.Elements)
	}
	m.height -= number
	values := grown(m.stack[m.height : m.height+number])
	m.push(nil)
	return m.replace(&tengo.Array{Value: values}, arraySize+slotSize*cap(values))
}

// grown copies values to where there is as much room behind them as if they had been appended one by one. Programs can
// tell, since appending to an array may change another array that shares its memory.
func grown(values []tengo.Object) []tengo.Object {
	const doubled = 512 // up to here Go doubles
	if len(values) == 0 {
		return nil
	}
	head := min(len(values), doubled)
	copied := make([]tengo.Object, head, 1<<bits.Len(uint(head-1)))
	copy(copied, values)
	for _, value := range values[head:] {
		copied = append(copied, value)
	}
	return copied
}

// makeMap takes keys and values from the stack, so many in all.
func (m *Machine) makeMap(number int) error {
	if number/2 > m.runtime.limits.Elements {
		return elementsError(m.runtime.limits.Elements)
	}
	m.height -= number
	values := make(map[string]tengo.Object, number/2)
	for i := m.height; i < m.height+number; i += 2 {
		values[m.stack[i].(*tengo.String).Value] = m.stack[i+1]
	}
	m.push(nil)
	return m.replace(&tengo.Map{Value: values}, mapSize+entrySize*len(values))
}

func (m *Machine) makeImmutable() error {
	switch value := m.stack[m.height-1].(type) {
	case *tengo.Array:
		return m.replace(&tengo.ImmutableArray{Value: value.Value}, arraySize)
	case *tengo.Map:
		return m.replace(&tengo.ImmutableMap{Value: value.Value}, scalarSize)
	default:
		return nil
	}
}

// capture gives the cell of a local variable, which has one from now on.
func (m *Machine) capture(index int) *cell {
	at := m.frames[m.depth-1].base + index
	captured, ok := m.stack[at].(*cell)
	if !ok {
		captured = &cell{value: m.stack[at]}
		m.stack[at] = captured
		m.spend(scalarSize)
	}
	return captured
}

func (m *Machine) local(index int) tengo.Object {
	value := m.stack[m.frames[m.depth-1].base+index]
	if captured, ok := value.(*cell); ok {
		return captured.value
	}
	return value
}

func (m *Machine) setLocal(index int) {
	m.height--
	at := m.frames[m.depth-1].base + index
	if captured, ok := m.stack[at].(*cell); ok {
		captured.value = m.stack[m.height]
	} else {
		m.stack[at] = m.stack[m.height]
	}
}

// makeClosure takes the cells of captured variables from the stack, so many of them.
func (m *Machine) makeClosure(of *function, number int) error {
	m.height -= number
	free := make([]*cell, number)
	for i := range free {
		free[i] = m.stack[m.height+i].(*cell)
	}
	m.push(nil)
	return m.replace(&function{code: of.code, free: free}, arraySize+slotSize*number)
}

func (m *Machine) iterate() error {
	value := m.stack[m.height-1]
	if !value.CanIterate() {
		return fmt.Errorf("not iterable: %s", value.TypeName())
	}
	return m.replace(value.Iterate(), sizeOf(value))
}
