package engine

import "runtime"

// processors says how many of the machine's processors Go runs programs on: one as long as all runs are short, since to
// wake a second for the next of them takes longer than the run; all of them while one goes on, so that it holds up no
// other.
type processors struct {
	all   int
	inUse int
}

func newProcessors() processors {
	all := runtime.GOMAXPROCS(0)
	return processors{all, all}
}

func (p *processors) useOne() { p.use(1) }
func (p *processors) useAll() { p.use(p.all) }

// use stops all programs for some microseconds, if it changes anything.
func (p *processors) use(number int) {
	if number != p.inUse {
		runtime.GOMAXPROCS(number)
		p.inUse = number
	}
}
