package engine

import (
	"sync"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

// program is a compiled program with the machines that have run it. It may run any number of times side by side.
type program struct {
	image     *machine.Image
	constants []tengo.Object
	// idle holds machines to run again. To make one takes far longer than to use it; the garbage collector empties the
	// pool of a program that does not run.
	idle sync.Pool
}

func newProgram(image *machine.Image, constants []tengo.Object) *program {
	return &program{image: image, constants: constants}
}

// boundMachine is a machine with the place where its modules find the run that they act for.
type boundMachine struct {
	*machine.Machine
	slot *modules.Slot
}

func (p *program) take() *boundMachine {
	if m, ok := p.idle.Get().(*boundMachine); ok {
		return m
	}
	slot := &modules.Slot{}
	return &boundMachine{p.image.New(modules.Bind(p.constants, slot)), slot}
}

// giveBack keeps a machine for another run. Nobody may abort it any more.
func (p *program) giveBack(m *boundMachine) {
	m.Reset()
	m.slot.Run = nil
	p.idle.Put(m)
}
