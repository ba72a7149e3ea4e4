package machine

import "github.com/d5/tengo/v2/parser"

// place is where an instruction comes from. As in Tengo's own machine, that of an instruction without operands is the
// one before it.
func (c *code) place(at int) parser.Pos {
	if at < 0 {
		return parser.NoPos
	}
	return c.source.SourcePos(int(c.ends[at]) - 2)
}
