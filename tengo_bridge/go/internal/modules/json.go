package modules

import (
	"fmt"
	"maps"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// maxJSONDepth is that of Go's own decoder. Tengo's has no limit, and a request's body made of nothing but brackets
// would overflow Go's stack, which ends the process.
const maxJSONDepth = 10_000

// jsonModule is Tengo's own, but for that limit.
func jsonModule(*Slot) map[string]tengo.Object {
	members := maps.Clone(stdlib.BuiltinModules["json"])
	decode := members["decode"].(*tengo.UserFunction).Value
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"decode": func(args ...tengo.Object) (tengo.Object, error) {
			if len(args) == 1 && jsonTooDeep(args[0]) {
				message := fmt.Sprintf("JSON is nested deeper than %d levels", maxJSONDepth)
				return &tengo.Error{Value: &tengo.String{Value: message}}, nil
			}
			return decode(args...)
		},
	}))
	return members
}

func jsonTooDeep(value tengo.Object) bool {
	switch value := value.(type) {
	case *tengo.String:
		return nestedTooDeep(value.Value)
	case *tengo.Bytes:
		return nestedTooDeep(value.Value)
	default:
		return false
	}
}

func nestedTooDeep[T string | []byte](text T) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			if depth > maxJSONDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}
