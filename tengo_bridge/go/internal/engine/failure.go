package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

const (
	maxStack        = 64
	maxMessageBytes = 16 << 10
	maxParseErrors  = 5
)

// failure says why a compile or a run did not end well.
func failure(kind, message string, stack ...string) *frame.Failure {
	if len(message) > maxMessageBytes {
		message = message[:maxMessageBytes] + "…"
	}
	// An empty list rather than null in JSON.
	return &frame.Failure{Kind: kind, Message: message, Stack: append([]string{}, stack[:min(len(stack), maxStack)]...)}
}

// compileFailure takes apart what the parser or the compiler says.
func compileFailure(err error) *frame.Failure {
	var parseErrors parser.ErrorList
	if errors.As(err, &parseErrors) {
		return parseFailure(parseErrors)
	}
	var compileError *tengo.CompilerError
	if errors.As(err, &compileError) {
		at := compileError.FileSet.Position(compileError.Node.Pos())
		return failure("compile", compileError.Err.Error(), at.String())
	}
	return failure("compile", err.Error())
}

// parseFailure has the first error as its message and place; the others follow in short.
func parseFailure(list parser.ErrorList) *frame.Failure {
	message := []string{list[0].Msg}
	for _, other := range list[1:min(len(list), maxParseErrors)] {
		message = append(message, fmt.Sprintf("%d:%d: %s", other.Pos.Line, other.Pos.Column, other.Msg))
	}
	if left := len(list) - maxParseErrors; left > 0 {
		message = append(message, fmt.Sprintf("and %d more", left))
	}
	return failure("compile", strings.Join(message, "; "), list[0].Pos.String())
}

// runtimeFailure takes apart what a machine says.
func runtimeFailure(err error) *frame.Failure {
	message := err.Error()
	if key := limitOf(err); key != "" {
		message = fmt.Sprintf("%s (%s)", message, key)
	}
	return failure(kindOf(err), message, placesOf(err)...)
}

// limitOf names the configuration's key for the limits that Tengo does not know the key of.
func limitOf(err error) string {
	switch {
	case errors.Is(err, tengo.ErrStringLimit), errors.Is(err, tengo.ErrBytesLimit):
		return "limits.string_bytes"
	case errors.Is(err, tengo.ErrObjectAllocLimit):
		return "limits.allocations"
	default:
		return ""
	}
}

func kindOf(err error) string {
	var limit machine.LimitError
	switch {
	case errors.Is(err, modules.ErrOutput):
		return "output"
	case limitOf(err) != "", errors.As(err, &limit), errors.As(err, new(modules.TooManyElements)):
		return "memory"
	default:
		return "runtime"
	}
}
