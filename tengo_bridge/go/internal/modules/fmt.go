package modules

import "github.com/d5/tengo/v2"

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
	format, err := args.text(0, "format")
	if err != nil || len(args) == 1 {
		return format, err
	}
	return tengo.Format(format, args[1:]...)
}
