package engine

import (
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// What the compiler has room to count. Beyond that it compiles something else than was written, without a word.
const (
	maxArrayLiteral = 65_535
	maxMapLiteral   = 32_767
	maxArguments    = 255
	maxSelectors    = 255 // that one assignment goes through
)

// counts counts, token by token, the elements within each open bracket, and the selectors of each statement.
type counts struct {
	open []bracket // the innermost last; the first stands for the file
}

// bracket is what was counted within one since its last semicolon.
type bracket struct {
	kind      token.Token
	commas    int
	selectors int
}

func newCounts() *counts {
	return &counts{open: []bracket{{kind: token.EOF}}}
}

// add counts one token more, and says what is too much with it, or nothing. The comma after the last element that is
// possible tells: the parser takes none after the last one there is.
func (c *counts) add(each token.Token) (excess string) {
	inner := &c.open[len(c.open)-1]
	switch each {
	case token.Comma:
		inner.commas++
		return inner.excess()
	case token.Period:
		inner.selectors++
	case token.LBrack:
		inner.selectors++
		c.open = append(c.open, bracket{kind: each})
	case token.LParen, token.LBrace:
		c.open = append(c.open, bracket{kind: each})
	case token.RParen, token.RBrack, token.RBrace:
		c.close(each)
	case token.Semicolon:
		*inner = bracket{kind: inner.kind}
	default:
		if assigns(each) && inner.selectors > maxSelectors {
			return "an assignment may go through 255 selectors"
		}
	}
	return ""
}

// close goes back to what is around a bracket. What comes after a block is not assigned to by what came before it.
func (c *counts) close(bracket token.Token) {
	if len(c.open) > 1 {
		c.open = c.open[:len(c.open)-1]
	}
	if bracket == token.RBrace {
		c.open[len(c.open)-1].selectors = 0
	}
}

func (b *bracket) excess() string {
	switch {
	case b.kind == token.LBrack && b.commas >= maxArrayLiteral:
		return "an array literal may have 65535 elements"
	case b.kind == token.LBrace && b.commas >= maxMapLiteral:
		return "a map literal may have 32767 entries"
	case b.kind == token.LParen && b.commas >= maxArguments:
		return "a call may have 255 arguments"
	default:
		return ""
	}
}

// excess tells what a source has too much of for the compiler, and the place where it is so; nothing if it has not.
func excess(name string, source []byte) (what, at string) {
	file := sourceFile(name, source)
	scanner := parser.NewScanner(file, source, nil, 0)
	count := newCounts()
	for {
		each, _, position := scanner.Scan()
		if each == token.EOF {
			return "", ""
		}
		if what := count.add(each); what != "" {
			return what, file.Position(position).String()
		}
	}
}
