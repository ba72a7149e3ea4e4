package engine

import "runtime"

// processors says how many of the machine's processors Go runs programs on: one as long as all runs are short, since to
// wake a second for the next of them takes longer than the run; all of them while one goes on, so that it holds up no
// other.
type processors struct {
	all    int
	chosen int
	wanted chan int // what was chosen last
}

func newProcessors() *processors {
	all := runtime.GOMAXPROCS(0)
	return &processors{all: all, chosen: all, wanted: make(chan int, 1)}
}

// change does what is wanted, until it is closed. It may wait for the end of a collection of garbage, for which whoever
// wants it must not.
func (p *processors) change() {
	for number := range p.wanted {
		runtime.GOMAXPROCS(number)
	}
	runtime.GOMAXPROCS(p.all)
}

func (p *processors) useOne() { p.use(1) }
func (p *processors) useAll() { p.use(p.all) }

func (p *processors) use(number int) {
	if number == p.chosen {
		return
	}
	p.chosen = number
	select {
	case <-p.wanted: // which was not done yet
	default:
	}
	p.wanted <- number
}

func (p *processors) close() { close(p.wanted) }
