package modules

import (
	"fmt"
	"strings"

	"github.com/d5/tengo/v2"
)

// maxNumberedArguments bounds the directives of a format that name their argument, since for each of them the format may
// be read to its end.
const maxNumberedArguments = 1000

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
	if numberedArguments(format) > maxNumberedArguments {
		return "", fmt.Errorf("a format may number %d arguments", maxNumberedArguments)
	}
	return tengo.Format(format, args[1:]...)
}

// numberedArguments counts the directives that name their argument, such as %[1]d.
func numberedArguments(format string) (count int) {
	for i := strings.IndexByte(format, '%'); i >= 0; {
		rest := strings.TrimLeft(format[i+1:], "+-# 0123456789.*")
		if strings.HasPrefix(rest, "[") {
			count++
		}
		i = strings.IndexByte(rest, '%')
		format = rest
	}
	return count
}
