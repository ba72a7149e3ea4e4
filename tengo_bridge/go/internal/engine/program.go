package engine

import (
	"sync"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"

	"selfhost/libtengo/internal/modules"
)

// program is a compiled program with the machines that have run it. It may run any number of times side by side.
type program struct {
	bytecode    *tengo.Bytecode
	globals     int
	allocations int64
	// idle holds machines to run again. A machine takes about 100 KB and far longer to make than to use; the garbage
	// collector empties the pool of a program that does not run.
	idle sync.Pool
}

func newProgram(bytecode *tengo.Bytecode, globals int, allocations int64) *program {
	return &program{bytecode: bytecode, globals: globals, allocations: allocations}
}

// machine is a virtual machine with all that must be its own.
type machine struct {
	vm      *tengo.VM
	globals []tengo.Object
	files   *parser.SourceFileSet
	slot    *modules.Slot
}

func (p *program) take() *machine {
	if m, ok := p.idle.Get().(*machine); ok {
		return m
	}
	return p.newMachine()
}

func (p *program) newMachine() *machine {
	slot := &modules.Slot{}
	files := *p.bytecode.FileSet // its own, since looking up a place leaves a note in it
	globals := make([]tengo.Object, p.globals+1)
	bytecode := &tengo.Bytecode{
		FileSet:      &files,
		MainFunction: p.bytecode.MainFunction,
		Constants:    modules.Bind(p.bytecode.Constants, slot),
	}
	return &machine{tengo.NewVM(bytecode, globals, p.allocations), globals, &files, slot}
}

// giveBack keeps a machine for another run. It must have come to the end of the program by itself: an error, a panic or
// an abort stays in the machine. What remains on its stack no program can read, as every variable is set before it is
// used; globals are not.
func (p *program) giveBack(m *machine) {
	clear(m.globals)
	m.slot.Run = nil
	p.idle.Put(m)
}

// run runs the program once; a panic of Go becomes an error.
func (m *machine) run() (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, placesOf(m.vm, m.files)}
		}
	}()
	return m.vm.Run()
}
