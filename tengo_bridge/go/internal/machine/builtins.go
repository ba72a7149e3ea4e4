package machine

import (
	"slices"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
	"selfhost/libtengo/internal/format"
)

// builtin is one of Tengo's builtin functions, kept within the limits of the machine that calls it.
type builtin struct {
	tengo.ObjectImpl
	name string
	call func(m *Machine, arguments []tengo.Object) (tengo.Object, error)
}

func (b *builtin) TypeName() string { return "builtin-function:" + b.name }

func (b *builtin) String() string { return "<builtin-function>" }

// Copy leaves the name behind, as Tengo does.
func (b *builtin) Copy() tengo.Object { return &builtin{call: b.call} }

func (b *builtin) Equals(tengo.Object) bool { return false }

func (b *builtin) CanCall() bool { return true }

// newBuiltins makes the builtin functions in the order that the compiler knows them in.
func newBuiltins() []tengo.Object {
	var all []tengo.Object
	for _, each := range tengo.GetAllBuiltinFunctions() {
		all = append(all, &builtin{name: each.Name, call: callOf(each)})
	}
	return all
}

func callOf(of *tengo.BuiltinFunction) func(*Machine, []tengo.Object) (tengo.Object, error) {
	switch of.Name {
	case "append":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.append(of, arguments) }
	case "splice":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.splice(of, arguments) }
	case "range":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.rangeOf(of, arguments) }
	case "is_function":
		return isFunction
	case "copy":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.copy(of, arguments) }
	case "string", "int", "float", "char", "bytes", "time":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.walking(of, arguments) }
	case "format":
		return func(m *Machine, arguments []tengo.Object) (tengo.Object, error) { return m.format(of, arguments) }
	default: // these look at no more than the value itself
		return func(_ *Machine, arguments []tengo.Object) (tengo.Object, error) { return of.Value(arguments...) }
	}
}

// walking calls a function that goes through all parts of its arguments.
func (m *Machine) walking(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	if err := m.walkable(arguments...); err != nil {
		return nil, err
	}
	result, err := of.Value(arguments...)
	if err == nil {
		m.spend(sizeOf(result))
	}
	return result, err
}

// copy says how much it will take before it takes it, so that room can be made; the run may have to end for that.
func (m *Machine) copy(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	if !slices.ContainsFunc(arguments, container) {
		return m.walking(of, arguments)
	}
	w := walk{machine: m}
	if err := w.containers(arguments); err != nil {
		return nil, err
	}
	m.spend(scalarSize + partSize*w.parts + w.bytes)
	if m.aborted.Load() {
		return nil, ErrAborted
	}
	return of.Value(arguments...)
}

func (m *Machine) format(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	if len(arguments) > 1 {
		if text, ok := arguments[0].(*tengo.String); ok {
			if err := format.Check(text.Value); err != nil {
				return nil, err
			}
		}
	}
	return m.walking(of, arguments)
}

func (m *Machine) append(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	if len(arguments) < 2 {
		return of.Value(arguments...)
	}
	values, _ := containers.Elements(arguments[0])
	if len(values)+len(arguments)-1 > m.runtime.limits.Elements {
		return nil, elementsError(m.runtime.limits.Elements)
	}
	result, err := of.Value(arguments...)
	if array, ok := result.(*tengo.Array); ok {
		m.spend(arraySize + slotSize*(cap(array.Value)-cap(values)))
	}
	return result, err
}

func (m *Machine) splice(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	deleted, err := of.Value(inReach(arguments)...)
	if err != nil {
		return nil, err
	}
	if count(arguments[0]) > m.runtime.limits.Elements { // by no more than there is room for arguments on the stack
		return nil, elementsError(m.runtime.limits.Elements)
	}
	m.spend(sizeOf(deleted) + slotSize*len(arguments))
	return deleted, nil
}

// inReach gives the arguments of splice with no larger number of elements to take out than there are: Tengo adds it to
// where they begin, past the largest integer.
func inReach(arguments []tengo.Object) []tengo.Object {
	if len(arguments) < 3 {
		return arguments
	}
	values, isArray := containers.Elements(arguments[0])
	number, isInt := arguments[2].(*tengo.Int)
	if !isArray || !isInt || number.Value <= int64(len(values)) {
		return arguments
	}
	reaching := slices.Clone(arguments)
	reaching[2] = &tengo.Int{Value: int64(len(values))}
	return reaching
}

// rangeOf looks at how long the range will be, and leaves it to Tengo's own function to complain.
func (m *Machine) rangeOf(of *tengo.BuiltinFunction, arguments []tengo.Object) (tengo.Object, error) {
	bounds := [3]int64{2: 1} // start, stop, step
	for i, argument := range arguments {
		number, ok := argument.(*tengo.Int)
		if !ok || i == len(bounds) {
			return of.Value(arguments...)
		}
		bounds[i] = number.Value
	}
	start, stop, step := bounds[0], bounds[1], bounds[2]
	if len(arguments) < 2 || step <= 0 {
		return of.Value(arguments...)
	}
	if steps(start, stop, step) > uint64(m.runtime.limits.Elements) {
		return nil, elementsError(m.runtime.limits.Elements)
	}
	values := m.series(start, stop, step)
	m.spend(arraySize + slotSize*cap(values))
	return &tengo.Array{Value: values}, nil
}

// steps is how many steps lead from start to before stop, upwards or downwards.
func steps(start, stop, step int64) uint64 {
	distance := uint64(stop) - uint64(start)
	if stop < start {
		distance = uint64(start) - uint64(stop)
	}
	whole := distance / uint64(step)
	if distance%uint64(step) > 0 {
		whole++
	}
	return whole
}

func (m *Machine) series(start, stop, step int64) []tengo.Object {
	if stop < start {
		step = -step
	}
	number := steps(start, stop, max(step, -step))
	var values []tengo.Object
	for value := start; number > 0; number-- {
		values = append(values, m.runtime.integer(value))
		value += step
	}
	return values
}

func isFunction(_ *Machine, arguments []tengo.Object) (tengo.Object, error) {
	if len(arguments) != 1 {
		return nil, tengo.ErrWrongNumArguments
	}
	_, ok := arguments[0].(*function)
	return boolean(ok), nil
}
