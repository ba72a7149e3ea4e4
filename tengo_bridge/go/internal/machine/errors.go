package machine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// Error is why a run did not come to its end, and where in the source it was, innermost first.
type Error struct {
	Err    error
	Places []string
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// LimitError says which limit on memory a run would have passed.
type LimitError string

func (e LimitError) Error() string { return string(e) }

const errParts = LimitError("the value has more than 4000000 parts, counting repeats")
const errText = LimitError("the value has more than 64 MiB of text, counting it once per level that it is nested in")

var (
	// ErrAborted ends a run that was aborted.
	ErrAborted = errors.New("aborted")

	errDivision = errors.New("division by zero")
	errNested   = errors.New("the value contains itself, or is nested deeper than 1000 levels")
)

func elementsError(limit int) error {
	return LimitError(fmt.Sprintf("an array or map may have %d elements (limits.elements)", limit))
}

// panicked is the error for a panic of Go in a function that a program has called.
func panicked(value any) error {
	if err, ok := value.(runtime.Error); ok && strings.HasSuffix(err.Error(), "divide by zero") {
		return errDivision
	}
	return fmt.Errorf("internal error: %v", value)
}
