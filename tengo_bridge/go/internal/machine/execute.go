package machine

import (
	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// execute carries out instructions until the program ends. The most frequent operations are done here, on copies of
// what the machine knows; for the others the machine is brought up to date.
func (m *Machine) execute() error {
	constants, variables, runtime := m.constants, m.variables, m.runtime
frames:
	for {
		top := &m.frames[m.depth-1]
		instructions, base, next := top.function.code.instructions, top.base, top.next
		stack, height := m.stack, m.height
		for {
			i := instructions[next]
			next++
			switch i.op {
			case parser.OpConstant:
				stack[height] = constants[i.first]
				height++
			case parser.OpNull:
				stack[height] = tengo.UndefinedValue
				height++
			case parser.OpTrue:
				stack[height] = tengo.TrueValue
				height++
			case parser.OpFalse:
				stack[height] = tengo.FalseValue
				height++
			case parser.OpPop:
				height--
			case parser.OpGetGlobal:
				stack[height] = variables[i.first]
				height++
			case parser.OpSetGlobal:
				height--
				variables[i.first] = stack[height]
			case opGetPlainLocal:
				stack[height] = stack[base+int(i.first)]
				height++
			case opSetPlainLocal:
				height--
				stack[base+int(i.first)] = stack[height]
			case parser.OpGetLocal:
				value := stack[base+int(i.first)]
				if captured, ok := value.(*cell); ok {
					value = captured.value
				}
				stack[height] = value
				height++
			case parser.OpGetFree:
				stack[height] = top.function.free[i.first].value
				height++
			case parser.OpSetFree:
				height--
				top.function.free[i.first].value = stack[height]

			case parser.OpJump:
				if m.aborted.Load() {
					top.next, m.height = next, height
					return ErrAborted
				}
				next = int(i.first)
			case parser.OpJumpFalsy:
				height--
				if falsy(stack[height]) {
					next = int(i.first)
				}
			case parser.OpAndJump:
				if falsy(stack[height-1]) {
					next = int(i.first)
				} else {
					height--
				}
			case parser.OpOrJump:
				if falsy(stack[height-1]) {
					height--
				} else {
					next = int(i.first)
				}
			case parser.OpLNot:
				stack[height-1] = boolean(falsy(stack[height-1]))

			case opAdd, opSub, parser.OpBinaryOp:
				left, leftOK := stack[height-2].(*tengo.Int)
				right, rightOK := stack[height-1].(*tengo.Int)
				if !leftOK || !rightOK {
					top.next, m.height = next, height
					if err := m.binary(token.Token(i.second)); err != nil {
						return err
					}
					height--
					continue
				}
				var result int64
				switch i.op {
				case opAdd:
					result = left.Value + right.Value
				case opSub:
					result = left.Value - right.Value
				default:
					var err error
					if result, err = integers(token.Token(i.second), left.Value, right.Value); err != nil {
						top.next = next
						return err
					}
				}
				m.allocations--
				if m.allocations == 0 {
					top.next = next
					return tengo.ErrObjectAllocLimit
				}
				height--
				stack[height-1] = runtime.integer(result)
			case opLess, opLessEq, opGreater, opGreaterEq:
				left, leftOK := stack[height-2].(*tengo.Int)
				right, rightOK := stack[height-1].(*tengo.Int)
				if !leftOK || !rightOK {
					top.next, m.height = next, height
					if err := m.binary(token.Token(i.second)); err != nil {
						return err
					}
					height--
					continue
				}
				var result bool
				switch i.op {
				case opLess:
					result = left.Value < right.Value
				case opLessEq:
					result = left.Value <= right.Value
				case opGreater:
					result = left.Value > right.Value
				default:
					result = left.Value >= right.Value
				}
				m.allocations--
				if m.allocations == 0 {
					top.next = next
					return tengo.ErrObjectAllocLimit
				}
				if following := instructions[next]; following.op == parser.OpJumpFalsy { // as it mostly is
					height -= 2
					next++
					if !result {
						next = int(following.first)
					}
					continue
				}
				height--
				stack[height-1] = boolean(result)

			case parser.OpCall:
				top.next, m.height = next, height
				callee, ok := stack[height-1-int(i.first)].(*function)
				if !ok || i.second&spreadCall != 0 || callee.code.varArgs {
					if err := m.call(i); err != nil {
						return err
					}
				} else if err := m.enter(callee, int(i.first), i.second&tailCall != 0); err != nil {
					return err
				}
				continue frames
			case parser.OpReturn:
				result := tengo.UndefinedValue
				if i.first == 1 {
					result = stack[height-1]
				}
				m.depth--
				m.height = base
				stack[base-1] = result
				continue frames
			case parser.OpSuspend:
				top.next, m.height = next, height
				return nil
			default:
				top.next, m.height = next, height
				if err := m.perform(i); err != nil {
					return err
				}
				height = m.height
			}
		}
	}
}

func falsy(value tengo.Object) bool {
	switch value {
	case tengo.TrueValue:
		return false
	case tengo.FalseValue:
		return true
	default:
		return value.IsFalsy()
	}
}
