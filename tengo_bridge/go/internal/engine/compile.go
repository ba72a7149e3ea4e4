package engine

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

// compileJob is a program to compile, with the modules that were supplied.
type compileJob struct {
	language string
	file     string
	source   []byte
	modules  map[string][]byte
}

// compiled is what came of a compile: a program, or the modules it still needs, or why it was refused.
type compiled struct {
	program *program
	modules []string // named modules that are imported, sorted
	bytes   int64    // about what the program takes
	needs   []frame.NeededModule
	failure *frame.Failure
}

// newCompileJob takes a Compile frame apart.
func newCompileJob(meta frame.CompileMeta, body []byte) (compileJob, error) {
	job := compileJob{language: meta.Language, file: meta.File, modules: make(map[string][]byte, len(meta.Modules))}
	source, rest, ok := cut(body, meta.SourceBytes)
	job.source = source
	for _, module := range meta.Modules {
		var content []byte
		var more bool
		content, rest, more = cut(rest, module.Bytes)
		job.modules[module.Name] = content
		ok = ok && more
	}
	if !ok || len(rest) > 0 {
		return compileJob{}, errors.New("the lengths in a compile frame do not add up to its body")
	}
	return job, nil
}

func cut(data []byte, length int) (head, tail []byte, ok bool) {
	if length < 0 || length > len(data) {
		return nil, data, false
	}
	return data[:length:length], data[length:], true
}

// compileTengo never panics: what the compiler trips over is refused.
func compileTengo(job compileJob, limits limits, runtime *machine.Runtime) (result compiled) {
	graph := newImportGraph(job.modules, limits)
	defer func() {
		if value := recover(); value != nil {
			result = graph.refused(job.panicked(value))
		}
	}()
	job.markErrorSelectors()
	if _, failure := graph.walk(job.file, job.source, nil); failure != nil {
		return graph.refused(failure)
	}
	if len(graph.missing) > 0 {
		return compiled{needs: graph.missing}
	}
	bytecode, globals, err := job.bytecode()
	if err != nil {
		refusal := compileFailure(err)
		if len(refusal.Stack) == 0 {
			refusal.Stack = []string{job.file + ":1:1"} // it is about the program as a whole
		}
		return graph.refused(refusal)
	}
	program := newProgram(runtime.Load(bytecode, globals), bytecode.Constants)
	return compiled{program: program, modules: graph.names(), bytes: sizeOf(bytecode)}
}

// markErrorSelectors prepares all sources for the parser, in place: the job's map of modules is its own.
func (job *compileJob) markErrorSelectors() {
	job.source = markErrorSelectors(job.source)
	for name, source := range job.modules {
		job.modules[name] = markErrorSelectors(source)
	}
}

// panicked says what the compiler tripped over. The one thing known to make it do so is an assignment to a builtin.
func (job compileJob) panicked(value any) *frame.Failure {
	if strings.Contains(fmt.Sprint(value), string(tengo.ScopeBuiltin)) {
		if name, at, found := job.builtinAssignment(); found {
			return failure("compile", fmt.Sprintf("'%s' is a builtin function and cannot be assigned to", name), at)
		}
	}
	return failure("compile", fmt.Sprintf("internal error: %v", value), job.file+":1:1")
}

// refused completes the place of a failure by how the program came to import it.
func (g *importGraph) refused(failure *frame.Failure) compiled {
	if len(failure.Stack) == 1 {
		failure.Stack = g.placesFrom(failure.Stack[0])
	}
	return compiled{failure: failure}
}

// bytecode compiles the program, and tells how many global variables it has.
func (job compileJob) bytecode() (*tengo.Bytecode, int, error) {
	file := sourceFile(job.file, job.source)
	tree, err := parser.NewParser(file, job.source, nil).ParseFile()
	if err != nil {
		return nil, 0, err
	}
	symbols := tengo.NewSymbolTable()
	compiler := tengo.NewCompiler(file, symbols, nil, modules.ForCompiler(job.modules), nil)
	if err := compiler.Compile(tree); err != nil {
		return nil, 0, err
	}
	bytecode := compiler.Bytecode()
	if err := checkSize(bytecode, symbols.MaxSymbols()); err != nil {
		return nil, 0, err
	}
	unmarkErrorSelectors(bytecode.Constants)
	bytecode.RemoveDuplicates()
	return bytecode, symbols.MaxSymbols(), nil
}

// checkSize refuses what the compiler lets through although its instructions have no room for it: they would silently
// take another constant or variable.
func checkSize(bytecode *tengo.Bytecode, globals int) error {
	if globals > tengo.GlobalsSize {
		return fmt.Errorf("the program has %d global variables; %d are possible", globals, tengo.GlobalsSize)
	}
	if len(bytecode.Constants) > math.MaxUint16+1 {
		return fmt.Errorf("the program has %d constants; %d are possible", len(bytecode.Constants), math.MaxUint16+1)
	}
	for _, constant := range bytecode.Constants {
		function, ok := constant.(*tengo.CompiledFunction)
		if ok && function.NumLocals > math.MaxUint8+1 {
			at := bytecode.FileSet.Position(function.SourcePos(len(function.Instructions)))
			return fmt.Errorf("the function or module that ends at %s has %d local variables; %d are possible",
				at, function.NumLocals, math.MaxUint8+1)
		}
	}
	return nil
}

// What the parts of compiled code take in memory, by measurement: an entry of a function's map from instructions to
// places with the instruction as the machine keeps it, and a constant.
const (
	bytesPerPlace    = 52
	bytesPerConstant = 64
)

// sizeOf estimates how much memory a compiled program takes.
func sizeOf(bytecode *tengo.Bytecode) int64 {
	size := sizeOfFunction(bytecode.MainFunction)
	for _, constant := range bytecode.Constants {
		size += bytesPerConstant
		switch constant := constant.(type) {
		case *tengo.CompiledFunction:
			size += sizeOfFunction(constant)
		case *tengo.String:
			size += int64(len(constant.Value))
		}
	}
	return size
}

func sizeOfFunction(function *tengo.CompiledFunction) int64 {
	return int64(len(function.Instructions)) + bytesPerPlace*int64(len(function.SourceMap))
}
