package modules

import (
	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/format"
)

func fmtModule(*Slot) map[string]tengo.Object {
	return functions(map[string]tengo.CallableFunc{"sprintf": sprintf})
}

func sprintf(args ...tengo.Object) (tengo.Object, error) {
	text, err := formatted(args)
	if err != nil {
		return nil, err
	}
	return &tengo.String{Value: text}, nil
}

// formatted is Tengo's own formatting; a format alone is taken as it is.
func formatted(args arguments) (string, error) {
	if len(args) == 0 {
		return "", tengo.ErrWrongNumArguments
	}
	pattern, err := args.text(0, "format")
	if err != nil || len(args) == 1 {
		return pattern, err
	}
	if err := format.Check(pattern); err != nil {
		return "", err
	}
	return tengo.Format(pattern, args[1:]...)
}
