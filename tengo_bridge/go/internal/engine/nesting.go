package engine

import (
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// nesting counts, token by token, how deep a source is nested: how many brackets, operators and keywords at most are
// open at one place, in the statement there and in those around it. Parser and compiler go no deeper into Go's stack
// than in proportion to that; neither has a limit of its own, and an overflow of the stack ends the process.
type nesting struct {
	depth int
	open  []int // per open bracket, the innermost last: what its statement has added to the depth so far
}

func newNesting() *nesting {
	return &nesting{open: []int{0}}
}

// add counts one token more.
func (n *nesting) add(each token.Token) {
	switch {
	case each == token.Semicolon || each == token.Comma:
		n.endStatement()
	case each == token.RParen || each == token.RBrack || each == token.RBrace:
		n.close()
	case each == token.LParen || each == token.LBrack || each == token.LBrace:
		n.deeper()
		n.open = append(n.open, 0)
	case !isLeaf(each):
		n.deeper()
	}
}

func (n *nesting) deeper() {
	n.depth++
	n.open[len(n.open)-1]++
}

func (n *nesting) endStatement() {
	n.depth -= n.open[len(n.open)-1]
	n.open[len(n.open)-1] = 0
}

func (n *nesting) close() {
	n.endStatement()
	if len(n.open) > 1 {
		n.open = n.open[:len(n.open)-1]
	}
}

// isLeaf says whether a token is an expression by itself.
func isLeaf(each token.Token) bool {
	switch each {
	case token.Ident, token.Int, token.Float, token.Char, token.String, token.True, token.False, token.Undefined:
		return true
	default:
		return false
	}
}

// deepest tells how deep a source is nested, or at most one more than the limit, and the place where it is so.
func deepest(name string, source []byte, limit int) (depth int, at string) {
	file := sourceFile(name, source)
	scanner := parser.NewScanner(file, source, nil, 0)
	count := newNesting()
	place := parser.Pos(file.Base)
	for {
		each, _, position := scanner.Scan()
		if each == token.EOF {
			return depth, file.Position(place).String()
		}
		count.add(each)
		if count.depth > depth {
			depth, place = count.depth, position
		}
		if depth > limit {
			return depth, file.Position(place).String()
		}
	}
}
