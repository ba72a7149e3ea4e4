package machine

import (
	"fmt"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/token"

	"selfhost/libtengo/internal/containers"
)

// integers is the operation of two integers that gives an integer.
func integers(operator token.Token, left, right int64) (int64, error) {
	switch operator {
	case token.Mul:
		return left * right, nil
	case token.Quo:
		if right == 0 {
			return 0, errDivision
		}
		return left / right, nil
	case token.Rem:
		if right == 0 {
			return 0, errDivision
		}
		return left % right, nil
	case token.And:
		return left & right, nil
	case token.Or:
		return left | right, nil
	case token.Xor:
		return left ^ right, nil
	case token.AndNot:
		return left &^ right, nil
	case token.Shl:
		return left << uint64(right), nil
	case token.Shr:
		return left >> uint64(right), nil
	default:
		return 0, fmt.Errorf("invalid operation: int %s int", operator)
	}
}

// binary puts the result of an operation of the two topmost values where the left one was; the height stays for the
// caller to change.
func (m *Machine) binary(operator token.Token) error {
	if m.aborted.Load() {
		return ErrAborted
	}
	left, right := m.stack[m.height-2], m.stack[m.height-1]
	if err := m.checkOperands(operator, left, right); err != nil {
		return err
	}
	result, err := left.BinaryOp(operator, right)
	if err == tengo.ErrInvalidOperator {
		return fmt.Errorf("invalid operation: %s %s %s", left.TypeName(), operator, right.TypeName())
	}
	if err != nil {
		return err
	}
	m.spendOn(result, right)
	m.stack[m.height-2] = result
	return m.allocate()
}

// checkOperands refuses what would take too much memory, or not come to an end.
func (m *Machine) checkOperands(operator token.Token, left, right tengo.Object) error {
	if operator != token.Add {
		return nil
	}
	if _, ok := left.(*tengo.String); ok {
		return m.walkable(right) // it will be turned into text
	}
	if added := count(right); added > 0 && count(left)+added > m.runtime.limits.Elements {
		return elementsError(m.runtime.limits.Elements)
	}
	return nil
}

// spendOn takes note of the result of an operation. An array most often grows within memory that it already has.
func (m *Machine) spendOn(result, right tengo.Object) {
	if _, ok := result.(*tengo.Array); ok {
		result = right
	}
	m.spend(sizeOf(result))
}

// equal compares two values, within the bounds for values that contain others.
func (m *Machine) equal(left, right tengo.Object) (bool, error) {
	if !container(left) || !container(right) {
		return left.Equals(right), nil
	}
	w := walk{machine: m}
	return w.equal(left, right, 0)
}

func (w *walk) equal(left, right tengo.Object, depth int) (bool, error) {
	if err := w.visit(depth); err != nil {
		return false, err
	}
	if values, ok := containers.Elements(left); ok {
		others, ok := containers.Elements(right)
		if !ok || len(values) != len(others) {
			return false, nil
		}
		return w.equalElements(values, others, depth+1)
	}
	if values, ok := containers.Entries(left); ok {
		others, ok := containers.Entries(right)
		if !ok || len(values) != len(others) {
			return false, nil
		}
		return w.equalEntries(values, others, depth+1)
	}
	return left.Equals(right), nil
}

func (w *walk) equalElements(left, right []tengo.Object, depth int) (bool, error) {
	for i, value := range left {
		if same, err := w.equal(value, right[i], depth); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (w *walk) equalEntries(left, right map[string]tengo.Object, depth int) (bool, error) {
	for key, value := range left {
		other, ok := right[key]
		if !ok {
			return false, nil
		}
		if same, err := w.equal(value, other, depth); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}
