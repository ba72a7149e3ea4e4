package modules

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
)

// maxEncodedDepth is the deepest that values may be nested in others when they become JSON.
const maxEncodedDepth = 1000

// encodeJSON is json.encode(value). The members of a map are sorted by their keys.
func encodeJSON(args ...tengo.Object) (tengo.Object, error) {
	if err := arguments(args).between(1, 1); err != nil {
		return nil, err
	}
	var e encoder
	err := e.value(args[0], 0)
	switch {
	case errors.Is(err, tengo.ErrBytesLimit):
		return nil, err
	case err != nil:
		return errorValue(err.Error()), nil
	default:
		return &tengo.Bytes{Value: e.text}, nil
	}
}

// encoder writes JSON as long as it is not too long.
type encoder struct {
	text []byte
}

func (e *encoder) value(value tengo.Object, depth int) error {
	if depth > maxEncodedDepth {
		return errors.New("the value is nested too deeply")
	}
	if values, ok := containers.Elements(value); ok {
		return e.array(values, depth+1)
	}
	if members, ok := containers.Entries(value); ok {
		return e.object(members, depth+1)
	}
	if err := e.scalar(value); err != nil {
		return err
	}
	return e.check(0)
}

func (e *encoder) scalar(value tengo.Object) error {
	switch value := value.(type) {
	case *tengo.String:
		return e.quoted(value.Value)
	case *tengo.Bytes:
		return e.base64(value.Value)
	case *tengo.Int:
		e.text = strconv.AppendInt(e.text, value.Value, 10)
	case *tengo.Char:
		e.text = strconv.AppendInt(e.text, int64(value.Value), 10)
	case *tengo.Bool:
		e.text = strconv.AppendBool(e.text, !value.IsFalsy())
	case *tengo.Float:
		return e.float(value.Value)
	case *tengo.Time:
		return e.marshalled(value.Value)
	default:
		e.text = append(e.text, "null"...) // undefined, and what JSON has no word for
	}
	return nil
}

func (e *encoder) array(values []tengo.Object, depth int) error {
	e.text = append(e.text, '[')
	for i, value := range values {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		if err := e.value(value, depth); err != nil {
			return err
		}
	}
	e.text = append(e.text, ']')
	return e.check(0)
}

func (e *encoder) object(members map[string]tengo.Object, depth int) error {
	e.text = append(e.text, '{')
	for i, key := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		if err := e.quoted(key); err != nil {
			return err
		}
		e.text = append(e.text, ':')
		if err := e.value(members[key], depth); err != nil {
			return err
		}
	}
	e.text = append(e.text, '}')
	return e.check(0)
}

func (e *encoder) float(value float64) error {
	if math.IsInf(value, 0) || math.IsNaN(value) {
		return errors.New("unsupported float value")
	}
	return e.marshalled(value)
}

func (e *encoder) marshalled(value any) error {
	text, err := json.Marshal(value)
	e.text = append(e.text, text...)
	return err
}

func (e *encoder) base64(value []byte) error {
	if err := e.check(base64.StdEncoding.EncodedLen(len(value))); err != nil {
		return err
	}
	e.text = append(e.text, '"')
	e.text = base64.StdEncoding.AppendEncode(e.text, value)
	e.text = append(e.text, '"')
	return nil
}

// quoted writes a string as it is but for what must be escaped; its bytes need not be UTF-8.
func (e *encoder) quoted(text string) error {
	if err := e.check(len(text)); err != nil {
		return err
	}
	e.text = append(e.text, '"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			e.text = append(e.text, '\\', c)
		case c == '\n':
			e.text = append(e.text, `\n`...)
		case c == '\r':
			e.text = append(e.text, `\r`...)
		case c == '\t':
			e.text = append(e.text, `\t`...)
		case c < ' ':
			const digits = "0123456789abcdef"
			e.text = append(e.text, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		default:
			e.text = append(e.text, c)
		}
	}
	e.text = append(e.text, '"')
	return nil
}

// check refuses a text that is too long, or would be with so many bytes more.
func (e *encoder) check(more int) error {
	if len(e.text)+more > tengo.MaxBytesLen {
		return tengo.ErrBytesLimit
	}
	return nil
}
