package engine

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"

	"selfhost/libtengo/internal/frame"
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

// runtimeFailure takes apart what a virtual machine says: the error itself, wrapped once per place, innermost first.
func runtimeFailure(err error) *frame.Failure {
	var panicked *panicError
	if errors.As(err, &panicked) {
		return failure("runtime", panicked.Error(), panicked.stack...)
	}
	kind := kindOf(err)
	var stack []string
	for {
		inner, place, wrapped := unwrapPlace(err)
		if !wrapped {
			slices.Reverse(stack)
			return failure(kind, err.Error(), stack...)
		}
		stack = append(stack, place)
		err = inner
	}
}

// unwrapPlace takes the place off that the machine has put around an error.
func unwrapPlace(err error) (inner error, place string, wrapped bool) {
	inner = errors.Unwrap(err)
	if inner == nil {
		return err, "", false
	}
	text := err.Error()
	for _, start := range []string{"", "Runtime Error: "} {
		if place, wrapped = strings.CutPrefix(text, start+inner.Error()+"\n\tat "); wrapped {
			return inner, place, true
		}
	}
	return err, "", false
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, modules.ErrOutput):
		return "output"
	case errors.As(err, new(modules.TooManyElements)),
		errors.Is(err, tengo.ErrObjectAllocLimit), errors.Is(err, tengo.ErrStringLimit), errors.Is(err, tengo.ErrBytesLimit):
		return "memory"
	default:
		return "runtime"
	}
}

// panicError is a panic of Go inside a run.
type panicError struct {
	value any
	stack []string
}

func (e *panicError) Error() string {
	if err, ok := e.value.(runtime.Error); ok && strings.Contains(err.Error(), fmt.Sprintf("with length %d", tengo.StackSize)) {
		return tengo.ErrStackOverflow.Error() // of values; the machine itself only counts calls
	}
	if err, ok := e.value.(runtime.Error); ok && strings.HasSuffix(err.Error(), "divide by zero") {
		return "division by zero"
	}
	return fmt.Sprintf("internal error: %v", e.value)
}

// placesOf reads from a machine, stopped by a panic, where in the program it is, innermost first. The machine has no
// way to ask; its fields can only be read by reflection.
func placesOf(vm *tengo.VM, files *parser.SourceFileSet) []string {
	machine := reflect.ValueOf(vm).Elem()
	frames := machine.FieldByName("frames")
	ip := machine.FieldByName("ip").Int()
	var places []string
	for i := int(machine.FieldByName("framesIndex").Int()) - 1; i >= 0; i-- {
		function := frames.Index(i).FieldByName("fn").Elem()
		places = append(places, files.Position(sourcePosition(function, ip-1)).String())
		if i > 0 {
			ip = frames.Index(i - 1).FieldByName("ip").Int()
		}
	}
	return places
}

// sourcePosition is CompiledFunction.SourcePos for a function that can only be read by reflection.
func sourcePosition(function reflect.Value, ip int64) parser.Pos {
	if !function.IsValid() {
		return parser.NoPos
	}
	positions := function.FieldByName("SourceMap")
	for ; ip >= 0; ip-- {
		if position := positions.MapIndex(reflect.ValueOf(int(ip))); position.IsValid() {
			return parser.Pos(position.Int())
		}
	}
	return parser.NoPos
}
