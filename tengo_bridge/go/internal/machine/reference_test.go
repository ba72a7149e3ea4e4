package machine

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/stdlib"
)

// compiled is a program as the compiler leaves it.
type compiled struct {
	bytecode *tengo.Bytecode
	globals  int
}

func compile(source string) (result compiled, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the compiler panics: %v", value)
		}
	}()
	file := parser.NewFileSet().AddFile("main", -1, len(source))
	tree, err := parser.NewParser(file, []byte(source), nil).ParseFile()
	if err != nil {
		return compiled{}, err
	}
	modules := stdlib.GetModuleMap("math", "text", "enum", "json", "fmt", "base64", "hex", "times")
	modules.AddSourceModule("m", []byte(moduleSource))
	symbols := tengo.NewSymbolTable()
	compiler := tengo.NewCompiler(file, symbols, nil, modules, nil)
	if err := compiler.Compile(tree); err != nil {
		return compiled{}, err
	}
	bytecode := compiler.Bytecode()
	bytecode.RemoveDuplicates()
	return compiled{bytecode, symbols.MaxSymbols()}, nil
}

func mustCompile(t testing.TB, source string) compiled {
	t.Helper()
	program, err := compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return program
}

// moduleSource is the module m.
const moduleSource = `n := 0
export {
	count: func() { n += 1; return n },
	fail: func(x) { return [] + x },
	apply: func(f, x) { return f(x) },
	forever: func() { for true {} }
}`

// outcome is all that there is to see of a run.
type outcome struct {
	globals string
	message string
	places  []string
	late    bool
}

// onTengo runs a program on Tengo's own machine.
func (c compiled) onTengo(allocations int64, patience time.Duration) outcome {
	globals := make([]tengo.Object, c.globals+1)
	vm := tengo.NewVM(c.copied(), globals, allocations)
	late := false
	var mutex sync.Mutex
	timer := time.AfterFunc(patience, func() {
		mutex.Lock()
		defer mutex.Unlock()
		late = true
		vm.Abort()
	})
	message, places := runTengo(vm, c.bytecode.FileSet)
	timer.Stop()
	mutex.Lock()
	defer mutex.Unlock()
	return outcome{describeAll(globals), message, places, late}
}

func (c compiled) copied() *tengo.Bytecode {
	constants := slices.Clone(c.bytecode.Constants)
	return &tengo.Bytecode{FileSet: c.bytecode.FileSet, MainFunction: c.bytecode.MainFunction, Constants: constants}
}

func runTengo(vm *tengo.VM, files *parser.SourceFileSet) (message string, places []string) {
	defer func() {
		if value := recover(); value != nil {
			message, places = tengoPanic(value), tengoPlaces(vm, files)
		}
	}()
	err := vm.Run()
	if err == nil {
		return "", nil
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.Contains(err.Error(), "\n\tat ") {
			slices.Reverse(places)
			return err.Error(), places
		}
		lines := strings.Split(err.Error(), "\n\tat ")
		places = append(places, lines[len(lines)-1])
		err = inner
	}
}

func tengoPanic(value any) string {
	if err, ok := value.(runtime.Error); ok && strings.Contains(err.Error(), fmt.Sprintf("with length %d", tengo.StackSize)) {
		return tengo.ErrStackOverflow.Error()
	}
	return panicked(value).Error()
}

// tengoPlaces reads where Tengo's machine was stopped by a panic; it has no way to ask.
func tengoPlaces(vm *tengo.VM, files *parser.SourceFileSet) []string {
	machine := reflect.ValueOf(vm).Elem()
	frames := machine.FieldByName("frames")
	ip := machine.FieldByName("ip").Int()
	var places []string
	for i := int(machine.FieldByName("framesIndex").Int()) - 1; i >= 0; i-- {
		positions := frames.Index(i).FieldByName("fn").Elem().FieldByName("SourceMap")
		at := parser.NoPos
		for ip--; ip >= 0 && at == parser.NoPos; ip-- {
			if position := positions.MapIndex(reflect.ValueOf(int(ip))); position.IsValid() {
				at = parser.Pos(position.Int())
			}
		}
		places = append(places, files.Position(at).String())
		if i > 0 {
			ip = frames.Index(i - 1).FieldByName("ip").Int()
		}
	}
	return places
}

const manyElements = 100_000

// machine makes one of ours for a program.
func (c compiled) machine(limits Limits) *Machine {
	return NewRuntime(limits).Load(c.bytecode, c.globals).New(slices.Clone(c.bytecode.Constants))
}

// onOurs runs a program on our machine.
func (c compiled) onOurs(allocations int64, patience time.Duration) outcome {
	m := c.machine(Limits{Elements: manyElements, Allocations: allocations})
	timer := time.AfterFunc(patience, m.Abort)
	defer timer.Stop()
	err := m.Run()
	result := outcome{globals: describeAll(m.variables), late: errors.Is(err, ErrAborted)}
	var failed *Error
	if errors.As(err, &failed) {
		result.message, result.places = failed.Error(), failed.Places
	}
	return result
}

func describeAll(values []tengo.Object) string {
	var text strings.Builder
	for i, value := range values {
		fmt.Fprintf(&text, "%d: ", i)
		describe(&text, value, 0)
		text.WriteByte('\n')
	}
	return text.String()
}

// describe writes down a value with its type, as far as it is not nested too deep.
func describe(text *strings.Builder, value tengo.Object, depth int) {
	if depth > 8 || text.Len() > 1<<16 {
		text.WriteString("…")
		return
	}
	switch value := value.(type) {
	case nil:
		text.WriteString("undefined")
	case tengo.Iterator, *function, *tengo.CompiledFunction, *tengo.UserFunction, *builtin, *tengo.BuiltinFunction:
		text.WriteString(value.TypeName())
	case *tengo.Array:
		describeElements(text, "array", value.Value, depth)
	case *tengo.ImmutableArray:
		describeElements(text, "immutable array", value.Value, depth)
	case *tengo.Map:
		describeEntries(text, "map", value.Value, depth)
	case *tengo.ImmutableMap:
		describeEntries(text, "immutable map", value.Value, depth)
	case *tengo.Error:
		text.WriteString("error ")
		describe(text, value.Value, depth+1)
	default:
		fmt.Fprintf(text, "%s %s", value.TypeName(), value.String())
	}
}

func describeElements(text *strings.Builder, kind string, values []tengo.Object, depth int) {
	fmt.Fprintf(text, "%s [", kind)
	for _, value := range values {
		describe(text, value, depth+1)
		text.WriteString(", ")
	}
	text.WriteByte(']')
}

func describeEntries(text *strings.Builder, kind string, values map[string]tengo.Object, depth int) {
	fmt.Fprintf(text, "%s {", kind)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(text, "%q: ", key)
		describe(text, values[key], depth+1)
		text.WriteString(", ")
	}
	text.WriteByte('}')
}
