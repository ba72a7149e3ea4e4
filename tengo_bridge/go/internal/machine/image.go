package machine

import (
	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
)

// Image is a compiled program made ready for machines, any number of which may run it side by side.
type Image struct {
	runtime   *Runtime
	files     *parser.SourceFileSet
	main      *function
	functions map[int]*function // by their place among the constants
	globals   int
}

// Load makes a program ready. It has that many global variables.
func (r *Runtime) Load(bytecode *tengo.Bytecode, globals int) *Image {
	image := &Image{
		runtime: r, files: bytecode.FileSet, globals: globals,
		main: &function{code: translate(bytecode.MainFunction)}, functions: map[int]*function{},
	}
	for i, constant := range bytecode.Constants {
		if compiled, ok := constant.(*tengo.CompiledFunction); ok {
			image.functions[i] = &function{code: translate(compiled)}
		}
	}
	return image
}

// function is what a program takes for a function: code with the variables that it has captured.
type function struct {
	tengo.ObjectImpl
	code *code
	free []*cell
}

func (f *function) TypeName() string { return "compiled-function" }

func (f *function) String() string { return "<compiled-function>" }

// Copy gives another function, with the same variables.
func (f *function) Copy() tengo.Object { return &function{code: f.code, free: f.free} }

func (f *function) Equals(tengo.Object) bool { return false }

func (f *function) CanCall() bool { return true }

// cell is a local variable that functions have captured. It takes the variable's place on the stack.
type cell struct {
	tengo.ObjectImpl
	value tengo.Object
}

func (c *cell) TypeName() string { return "<free-var>" }

func (c *cell) String() string { return "free-var" }
