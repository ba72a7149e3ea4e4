package modules

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// arguments reads what a program has passed to a function, by position; undefined stands for an argument left out.
type arguments []tengo.Object

func (a arguments) between(least, most int) error {
	if len(a) < least || len(a) > most {
		return tengo.ErrWrongNumArguments
	}
	return nil
}

func (a arguments) given(i int) bool {
	return i < len(a) && a[i] != tengo.UndefinedValue
}

func (a arguments) wrong(i int, name, expected string) error {
	return tengo.ErrInvalidArgumentType{Name: name, Expected: expected, Found: a[i].TypeName()}
}

func (a arguments) text(i int, name string) (string, error) {
	s, ok := a[i].(*tengo.String)
	if !ok {
		return "", a.wrong(i, name, "string")
	}
	return s.Value, nil
}

func (a arguments) integer(i int, name string) (int64, error) {
	n, ok := tengo.ToInt64(a[i])
	if !ok {
		return 0, a.wrong(i, name, "int(compatible)")
	}
	return n, nil
}

// compatibleText reads what Tengo's library takes for a string: nearly everything.
func (a arguments) compatibleText(i int) (string, error) {
	if i >= len(a) {
		return "", tengo.ErrWrongNumArguments
	}
	text, ok := tengo.ToString(a[i])
	if !ok {
		return "", a.wrong(i, ordinal(i), "string(compatible)")
	}
	return text, nil
}

// compatibleInt reads what Tengo's library takes for an integer.
func (a arguments) compatibleInt(i int) (int, error) {
	if i >= len(a) {
		return 0, tengo.ErrWrongNumArguments
	}
	n, ok := tengo.ToInt(a[i])
	if !ok {
		return 0, a.wrong(i, ordinal(i), "int(compatible)")
	}
	return n, nil
}

// ordinal names an argument as Tengo's library does.
func ordinal(i int) string {
	return []string{"first", "second", "third", "fourth"}[i]
}

func (a arguments) content(i int, name string) ([]byte, error) {
	switch value := a[i].(type) {
	case *tengo.String:
		return []byte(value.Value), nil
	case *tengo.Bytes:
		return value.Value, nil
	default:
		return nil, a.wrong(i, name, "string/bytes")
	}
}

// pairs reads an array of "key=value" strings.
func (a arguments) pairs(i int, name string) ([][2]string, error) {
	if !a.given(i) {
		return nil, nil
	}
	values, ok := containers.Elements(a[i])
	if !ok {
		return nil, a.wrong(i, name, "array of \"key=value\" strings")
	}
	var pairs [][2]string
	total := 0
	for position, value := range values {
		text, ok := value.(*tengo.String)
		if !ok {
			return nil, tengo.ErrInvalidArgumentType{
				Name: fmt.Sprintf("%s[%d]", name, position), Expected: "string", Found: value.TypeName(),
			}
		}
		if total += len(text.Value); total > tengo.MaxStringLen {
			return nil, tengo.ErrStringLimit
		}
		key, rest, _ := strings.Cut(text.Value, "=")
		pairs = append(pairs, [2]string{key, rest})
	}
	return pairs, nil
}

// headers reads a map of strings; names and values are checked.
func (a arguments) headers(i int, name string) ([][2]string, error) {
	if !a.given(i) {
		return nil, nil
	}
	members, ok := containers.Entries(a[i])
	if !ok {
		return nil, a.wrong(i, name, "map of strings")
	}
	var headers [][2]string
	total := 0
	for key, value := range members {
		text, ok := value.(*tengo.String)
		if !ok {
			return nil, tengo.ErrInvalidArgumentType{
				Name: fmt.Sprintf("%s[%q]", name, key), Expected: "string", Found: value.TypeName(),
			}
		}
		if err := checkHeader(key, text.Value); err != nil {
			return nil, err
		}
		if total += len(key) + len(text.Value); total > maxHeaderBytes {
			return nil, fmt.Errorf("the headers of a call may have %d bytes", maxHeaderBytes)
		}
		headers = append(headers, [2]string{key, text.Value})
	}
	slices.SortFunc(headers, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	return headers, nil
}

// maxHeaderBytes bounds the names and values of all headers of a message that a program writes.
const maxHeaderBytes = 64 << 10

// checkHeader keeps a program from writing into the message around its header.
func checkHeader(name, value string) error {
	if name == "" || strings.ContainsFunc(name, notInHeaderName) {
		return fmt.Errorf("%q is not a valid header name", name)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("the value of header %q is not valid UTF-8", name)
	}
	if strings.ContainsFunc(value, notInHeaderValue) {
		return fmt.Errorf("the value of header %q holds a control character", name)
	}
	return nil
}

func notInHeaderName(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
}

func notInHeaderValue(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f
}
