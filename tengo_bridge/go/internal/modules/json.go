package modules

import (
	"bytes"
	"fmt"
	"maps"
	"unicode/utf8"

	"github.com/d5/tengo/v2"
)

// maxJSONDepth is that of Go's own decoder. Tengo's has no limit, and a request's body made of nothing but brackets
// would overflow Go's stack, which ends the process.
const maxJSONDepth = 10_000

// jsonModule is Tengo's own, but for bounds and for an encoder that takes no longer than its text is long.
func jsonModule(slot *Slot) map[string]tengo.Object {
	members := libraryModule("json", slot, map[string]guard{
		"decode":      checkDecode,
		"indent":      checkIndent,
		"html_escape": checkHTMLEscape,
	})
	decode := members["decode"].(*tengo.UserFunction).Value
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"encode": encodeJSON,
		"decode": func(args ...tengo.Object) (tengo.Object, error) {
			if len(args) == 1 && measureJSON(jsonText(args[0])).depth > maxJSONDepth {
				return errorValue(fmt.Sprintf("JSON is nested deeper than %d levels", maxJSONDepth)), nil
			}
			return decode(args...)
		},
	}))
	return members
}

// jsonText gives the text of a string or of bytes; of other values none.
func jsonText(value tengo.Object) []byte {
	switch value := value.(type) {
	case *tengo.String:
		return []byte(value.Value)
	case *tengo.Bytes:
		return value.Value
	default:
		return nil
	}
}

func checkDecode(r *Run, args arguments) error {
	if len(args) != 1 {
		return nil
	}
	text := jsonText(args[0])
	if measureJSON(text).elements > r.Limits.Elements {
		return TooManyElements{"decoded JSON", r.Limits.Elements}
	}
	// Each byte that is no UTF-8 becomes a character of three.
	if 3*len(text) > tengo.MaxStringLen && !utf8.Valid(text) {
		return tengo.ErrStringLimit
	}
	return nil
}

// checkIndent is asked with (text, prefix, indent).
func checkIndent(_ *Run, args arguments) error {
	if len(args) != 3 {
		return nil
	}
	text := jsonText(args[0])
	prefix, err := args.compatibleText(1)
	if err != nil {
		return nil
	}
	indent, err := args.compatibleText(2)
	if err != nil {
		return nil
	}
	m := measureJSON(text)
	if tooLong(m.lines, 1+len(prefix)) || tooLong(m.indents, len(indent)) ||
		len(text)-m.spaces+m.colons+m.lines*(1+len(prefix))+m.indents*len(indent) > tengo.MaxBytesLen {
		return tengo.ErrBytesLimit
	}
	return nil
}

func checkHTMLEscape(_ *Run, args arguments) error {
	if len(args) != 1 {
		return nil
	}
	text := jsonText(args[0])
	escaped := bytes.Count(text, []byte("<")) + bytes.Count(text, []byte(">")) + bytes.Count(text, []byte("&"))
	if len(text)+escaped*len(`u003c`) > tengo.MaxBytesLen {
		return tengo.ErrBytesLimit
	}
	return nil
}

// measures of a JSON text.
type measures struct {
	depth    int // at the deepest
	elements int // of all arrays and objects, at most one too many for each of them
	colons   int
	spaces   int // around the values
	lines    int // breaks that it has when it is indented
	indents  int // of all those lines together
}

// measureJSON looks at a text, valid or not, once.
func measureJSON(text []byte) (m measures) {
	depth, quoted, opened := 0, false, false
	line := func() {
		m.lines++
		m.indents += max(depth, 0)
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if opened && !quoted && c > ' ' {
			opened = false
			if c != ']' && c != '}' {
				line()
			} else {
				m.lines-- // for that of an end which it does not have
				m.indents -= max(depth-1, 0)
			}
		}
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			m.depth = max(m.depth, depth)
			m.elements++
			opened = true
		case c == ']' || c == '}':
			depth--
			line()
		case c == ',':
			m.elements++
			line()
		case c == ':':
			m.colons++
		case c <= ' ':
			m.spaces++
		}
	}
	return m
}
