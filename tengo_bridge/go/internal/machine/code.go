package machine

import (
	"encoding/binary"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// Operations beyond Tengo's own, which keep their numbers: forms that are quick to carry out.
const (
	opAdd = parser.OpSuspend + 1 + iota
	opSub
	opLess
	opLessEq
	opGreater
	opGreaterEq
	opGetPlainLocal // of a variable that no function captures
	opSetPlainLocal
)

// instruction is one operation with its operands. What they mean depends on the operation: first is an index, a target
// or a count, second is the number of selectors or captured variables, an operator, or how a call is made.
type instruction struct {
	op     parser.Opcode
	second uint8
	first  int32
}

// How a call is made.
const (
	spreadCall = 1 << iota // the last argument is an array of arguments
	tailCall               // the caller has nothing more to do but to return
)

// code is a function's instructions with what a machine must know to run them.
type code struct {
	instructions []instruction
	ends         []int32 // where each instruction ends in Tengo's own
	parameters   int
	varArgs      bool
	locals       int // parameters included
	operands     int // the most that the stack holds beside the locals
	source       *tengo.CompiledFunction
}

// translate decodes a function's instructions, which stay as many as they were.
func translate(source *tengo.CompiledFunction) *code {
	t := translation{code: &code{
		parameters: source.NumParameters, varArgs: source.VarArgs, locals: source.NumLocals, source: source,
	}}
	t.decode(source.Instructions)
	t.aim(len(source.Instructions))
	t.specialise()
	t.code.operands = t.code.deepest()
	return t.code
}

type translation struct {
	code     *code
	captured [256]bool // local variables that functions capture
}

// decode leaves the targets of jumps as they are.
func (t *translation) decode(bytes []byte) {
	for at := 0; at < len(bytes); {
		op := bytes[at]
		at++
		i := instruction{op: op}
		switch widths := widthsOf(op); len(widths) {
		case 1:
			i.first = operand(bytes[at:], widths[0])
			at += widths[0]
		case 2:
			i.first = operand(bytes[at:], widths[0])
			i.second = bytes[at+widths[0]]
			at += widths[0] + 1
		}
		switch {
		case op == parser.OpCall && returnsAt(bytes, at):
			i.second |= tailCall
		case op == parser.OpGetLocalPtr:
			t.captured[i.first] = true
		}
		t.code.instructions = append(t.code.instructions, i)
		t.code.ends = append(t.code.ends, int32(at))
	}
}

func widthsOf(op parser.Opcode) []int {
	if int(op) < len(parser.OpcodeOperands) {
		return parser.OpcodeOperands[op]
	}
	return nil // the machine will say that it does not know it
}

func operand(bytes []byte, width int) int32 {
	switch width {
	case 1:
		return int32(bytes[0])
	case 2:
		return int32(binary.BigEndian.Uint16(bytes))
	default:
		return int32(binary.BigEndian.Uint32(bytes))
	}
}

// returnsAt tells whether nothing but a return follows, be it of another value.
func returnsAt(bytes []byte, at int) bool {
	return bytes[at] == parser.OpReturn || bytes[at] == parser.OpPop && bytes[at+1] == parser.OpReturn
}

// aim turns the targets of jumps from offsets into indexes.
func (t *translation) aim(length int) {
	indexes := make([]int32, length+1)
	for i, end := range t.code.ends {
		indexes[end] = int32(i + 1)
	}
	for i := range t.code.instructions {
		if each := &t.code.instructions[i]; jumps(each.op) {
			each.first = indexes[each.first]
		}
	}
}

func jumps(op parser.Opcode) bool {
	return op == parser.OpJump || op == parser.OpJumpFalsy || op == parser.OpAndJump || op == parser.OpOrJump
}

// specialise puts quick forms in place of general ones.
func (t *translation) specialise() {
	for i := range t.code.instructions {
		switch each := &t.code.instructions[i]; each.op {
		case parser.OpBinaryOp:
			each.second = uint8(each.first)
			each.op = operatorOf(token.Token(each.second))
		case parser.OpGetLocal:
			if !t.captured[each.first] {
				each.op = opGetPlainLocal
			}
		case parser.OpDefineLocal:
			each.op = opSetPlainLocal
		case parser.OpSetLocal:
			if !t.captured[each.first] {
				each.op = opSetPlainLocal
			}
		}
	}
}

func operatorOf(operator token.Token) parser.Opcode {
	switch operator {
	case token.Add:
		return opAdd
	case token.Sub:
		return opSub
	case token.Less:
		return opLess
	case token.LessEq:
		return opLessEq
	case token.Greater:
		return opGreater
	case token.GreaterEq:
		return opGreaterEq
	default:
		return parser.OpBinaryOp
	}
}

// deepest follows the height of the stack through the instructions. After an instruction that never goes on to the
// next, the height is that of the jumps that lead there.
func (c *code) deepest() int {
	heights := map[int32]int{} // at the targets of jumps
	height, deepest := 0, 0
	for at, each := range c.instructions {
		if known, ok := heights[int32(at)]; ok {
			height = known
		}
		if each.op == parser.OpAndJump || each.op == parser.OpOrJump {
			heights[each.first] = height
		}
		height += each.effect()
		if each.op == parser.OpJump || each.op == parser.OpJumpFalsy {
			heights[each.first] = height
		}
		deepest = max(deepest, height)
	}
	return deepest
}

// effect is by how much an instruction changes the height of the stack.
func (i instruction) effect() int {
	switch i.op {
	case parser.OpConstant, parser.OpTrue, parser.OpFalse, parser.OpNull, parser.OpGetGlobal, parser.OpGetLocal,
		parser.OpGetFreePtr, parser.OpGetFree, parser.OpGetLocalPtr, parser.OpGetBuiltin, opGetPlainLocal:
		return 1
	case parser.OpPop, parser.OpEqual, parser.OpNotEqual, parser.OpJumpFalsy, parser.OpAndJump, parser.OpOrJump,
		parser.OpIndex, parser.OpSetGlobal, parser.OpSetLocal, parser.OpDefineLocal, parser.OpSetFree,
		parser.OpBinaryOp, opAdd, opSub, opLess, opLessEq, opGreater, opGreaterEq, opSetPlainLocal:
		return -1
	case parser.OpSliceIndex:
		return -2
	case parser.OpArray, parser.OpMap:
		return 1 - int(i.first)
	case parser.OpCall, parser.OpReturn:
		return -int(i.first)
	case parser.OpClosure:
		return 1 - int(i.second)
	case parser.OpSetSelGlobal, parser.OpSetSelLocal, parser.OpSetSelFree:
		return -1 - int(i.second)
	default:
		return 0
	}
}
