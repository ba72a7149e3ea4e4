package machine

import (
	"fmt"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// call calls whatever lies beneath its arguments on the stack.
func (m *Machine) call(i instruction) error {
	callee := m.stack[m.height-1-int(i.first)]
	if !callee.CanCall() {
		return fmt.Errorf("not callable: %s", callee.TypeName())
	}
	arguments := int(i.first)
	if i.second&spreadCall != 0 {
		added, err := m.spread()
		if err != nil {
			return err
		}
		arguments += added
	}
	compiled, ok := callee.(*function)
	if !ok {
		return m.callGo(callee, arguments)
	}
	if compiled.code.varArgs {
		var err error
		if arguments, err = m.collect(compiled, arguments); err != nil {
			return err
		}
	}
	return m.enter(compiled, arguments, i.second&tailCall != 0)
}

// spread puts the elements of the array on top of the stack in its place, and gives how many values that adds.
func (m *Machine) spread() (added int, err error) {
	last := m.height - 1
	values, ok := containers.Elements(m.stack[last])
	if !ok {
		return 0, fmt.Errorf("not an array: %s", m.stack[last].TypeName())
	}
	if len(values) > m.runtime.limits.Elements {
		return 0, elementsError(m.runtime.limits.Elements)
	}
	if last+len(values) > tengo.StackSize {
		return 0, tengo.ErrStackOverflow
	}
	m.reserve(last + len(values) + 1) // one more, for the array that the arguments may be collected in
	copy(m.stack[last:], values)
	m.height = last + len(values)
	return len(values) - 1, nil
}

// collect puts the arguments beyond those that have a parameter of their own into an array, and gives how many
// arguments there are then.
func (m *Machine) collect(callee *function, arguments int) (int, error) {
	own := callee.code.parameters - 1
	if arguments < own {
		return arguments, nil
	}
	if arguments-own > m.runtime.limits.Elements {
		return 0, elementsError(m.runtime.limits.Elements)
	}
	first := m.height - (arguments - own)
	rest := make([]tengo.Object, arguments-own)
	copy(rest, m.stack[first:m.height])
	m.spend(arraySize + slotSize*len(rest))
	m.reserve(first + 1)
	m.stack[first] = &tengo.Array{Value: rest}
	m.height = first + 1
	return own + 1, nil
}

// enter starts a call of a program's own function, whose arguments are on the stack. The call of a function by itself
// as its last deed takes the place of the call that is going on.
func (m *Machine) enter(callee *function, arguments int, last bool) error {
	if arguments != callee.code.parameters {
		return wrongNumber(callee.code, arguments)
	}
	if m.aborted.Load() {
		return ErrAborted
	}
	first := m.height - arguments
	if top := &m.frames[m.depth-1]; last && callee == top.function {
		copy(m.stack[top.base:], m.stack[first:m.height])
		m.height = first - 1
		top.next = 0
		return nil
	}
	if m.depth >= tengo.MaxFrames || first+callee.code.locals > tengo.StackSize {
		return tengo.ErrStackOverflow
	}
	if m.depth == len(m.frames) {
		m.frames = append(m.frames, make([]frame, len(m.frames))...)
	}
	m.frames[m.depth] = frame{function: callee, base: first}
	m.depth++
	m.height = first + callee.code.locals
	m.reserve(m.height + callee.code.operands)
	return nil
}

func wrongNumber(callee *code, arguments int) error {
	if callee.varArgs {
		return fmt.Errorf("wrong number of arguments: want>=%d, got=%d", callee.parameters-1, arguments)
	}
	return fmt.Errorf("wrong number of arguments: want=%d, got=%d", callee.parameters, arguments)
}

// callGo calls a function written in Go, builtin or of a module, and leaves its result on the stack.
func (m *Machine) callGo(callee tengo.Object, arguments int) error {
	if m.aborted.Load() {
		return ErrAborted
	}
	given := m.stack[m.height-arguments : m.height]
	result, err := m.invoke(callee, given)
	m.height -= arguments + 1
	if err != nil {
		return callError(callee, err)
	}
	if result == nil {
		result = tengo.UndefinedValue
	}
	if count(result) > m.runtime.limits.Elements {
		return elementsError(m.runtime.limits.Elements)
	}
	if err := m.allocate(); err != nil {
		return err
	}
	m.stack[m.height] = result
	m.height++
	return nil
}

func (m *Machine) invoke(callee tengo.Object, given []tengo.Object) (tengo.Object, error) {
	if own, ok := callee.(*builtin); ok {
		return own.call(m, given)
	}
	if err := m.walkable(given...); err != nil {
		return nil, err
	}
	result, err := callee.Call(append([]tengo.Object(nil), given...)...)
	if err == nil && result != nil {
		m.spend(madeBytes(result))
	}
	return result, err
}

func callError(callee tengo.Object, err error) error {
	if err == tengo.ErrWrongNumArguments {
		return fmt.Errorf("wrong number of arguments in call to '%s'", callee.TypeName())
	}
	if wrong, ok := err.(tengo.ErrInvalidArgumentType); ok {
		return fmt.Errorf("invalid type for argument '%s' in call to '%s': expected %s, found %s",
			wrong.Name, callee.TypeName(), wrong.Expected, wrong.Found)
	}
	return err
}
