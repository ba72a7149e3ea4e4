package modules

import (
	"fmt"
	"maps"
	"strings"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// TooManyElements says that a function would have to make more values than a run may have in one; the run ends.
type TooManyElements struct {
	What  string
	Limit int
}

func (e TooManyElements) Error() string {
	return fmt.Sprintf("%s may have %d elements (limits.elements)", e.What, e.Limit)
}

// fits refuses a list that would be too long.
func (r *Run) fits(elements int) error {
	if elements > r.Limits.Elements {
		return TooManyElements{"an array or map", r.Limits.Elements}
	}
	return nil
}

// guard looks at what a function of Tengo's library is called with before it is. It leaves it to the function to say that
// the number of arguments or the type of one is wrong.
type guard func(*Run, arguments) error

// libraryModule is a module of Tengo's library whose functions are called within bounds: texts that are too long do not
// come out of any, and those with a guard are not called with what would take them too much time or memory, or make them
// panic.
func libraryModule(name string, slot *Slot, guards map[string]guard) map[string]tengo.Object {
	members := maps.Clone(stdlib.BuiltinModules[name])
	for name, member := range members {
		if function, ok := member.(*tengo.UserFunction); ok {
			members[name] = &tengo.UserFunction{Name: name, Value: guarded(slot, guards[name], function.Value)}
		}
	}
	return members
}

func guarded(slot *Slot, check guard, function tengo.CallableFunc) tengo.CallableFunc {
	return func(args ...tengo.Object) (tengo.Object, error) {
		if check != nil {
			if err := check(slot.Run, args); err != nil {
				return nil, err
			}
		}
		result, err := function(args...)
		if err == nil {
			err = checkLength(result)
		}
		return result, err
	}
}

func checkLength(value tengo.Object) error {
	switch value := value.(type) {
	case *tengo.String:
		if len(value.Value) > tengo.MaxStringLen {
			return tengo.ErrStringLimit
		}
	case *tengo.Bytes:
		if len(value.Value) > tengo.MaxBytesLen {
			return tengo.ErrBytesLimit
		}
	case *tengo.Error:
		return checkLength(value.Value)
	}
	return nil
}

// maxErrorBytes bounds a message, which may quote what a program has passed.
const maxErrorBytes = 4 << 10

// errorValue is an error that a program can look at.
func errorValue(message string) tengo.Object {
	if len(message) > maxErrorBytes {
		message = strings.ToValidUTF8(message[:maxErrorBytes], "") + "…"
	}
	return &tengo.Error{Value: &tengo.String{Value: message}}
}
