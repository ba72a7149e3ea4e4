package engine

import (
	"bytes"
	"slices"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// errorMarker stands for "error" while a program is compiled. It is an identifier just as long, so that places in the
// source stay what they are.
const errorMarker = "erŕo"

// markErrorSelectors lets programs write log.error(…). To Tengo, error is a keyword, so that this is a syntax error; no
// program that Tengo accepts is changed.
func markErrorSelectors(source []byte) []byte {
	if !bytes.Contains(source, []byte("error")) || bytes.Contains(source, []byte(errorMarker)) {
		return source
	}
	file := sourceFile("", source)
	scanner := parser.NewScanner(file, source, nil, 0)
	marked := slices.Clone(source)
	for previous := token.Illegal; previous != token.EOF; {
		found, _, at := scanner.Scan()
		if previous == token.Period && found == token.Error {
			copy(marked[file.Offset(at):], errorMarker)
		}
		previous = found
	}
	return marked
}

// unmarkErrorSelectors puts the real name into what was compiled.
func unmarkErrorSelectors(constants []tengo.Object) {
	for _, constant := range constants {
		if text, ok := constant.(*tengo.String); ok && text.Value == errorMarker {
			text.Value = "error"
		}
	}
}
