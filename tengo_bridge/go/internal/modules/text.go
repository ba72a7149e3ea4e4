package modules

import (
	"errors"
	"maps"
	"strings"

	"github.com/d5/tengo/v2"
)

// textModule is Tengo's own, but for bounds, and for functions that would take time beyond measure or panic.
func textModule(slot *Slot) map[string]tengo.Object {
	members := libraryModule("text", slot, map[string]guard{
		"fields":        checkFields,
		"split":         checkSplit,
		"split_after":   checkSplit,
		"split_n":       checkSplit,
		"split_after_n": checkSplit,
		"repeat":        checkRepeat,
		"replace":       checkReplace,
		"format_float":  checkFormatFloat,
		"format_int":    checkFormatInt,
	})
	maps.Copy(members, functions(regexpFunctions(slot)))
	maps.Copy(members, functions(setFunctions()))
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"pad_left":  padding(padLeft),
		"pad_right": padding(padRight),
	}))
	return members
}

func checkFields(r *Run, args arguments) error {
	text, err := args.compatibleText(0)
	if err != nil {
		return nil
	}
	count := 0
	for range strings.FieldsSeq(text) {
		count++
		if err := r.fits(count); err != nil {
			return err
		}
	}
	return nil
}

// checkSplit is asked with (text, separator) or (text, separator, most).
func checkSplit(r *Run, args arguments) error {
	text, err := args.compatibleText(0)
	separator, err2 := args.compatibleText(1)
	if errors.Join(err, err2) != nil {
		return nil
	}
	parts := strings.Count(text, separator) + 1
	if most, err := args.compatibleInt(2); err == nil && most >= 0 {
		parts = min(parts, most)
	}
	return r.fits(parts)
}

func checkRepeat(_ *Run, args arguments) error {
	text, err := args.compatibleText(0)
	count, err2 := args.compatibleInt(1)
	switch {
	case errors.Join(err, err2) != nil:
		return nil
	case count < 0:
		return errors.New("text.repeat: the count must not be negative")
	case tooLong(count, len(text)):
		return tengo.ErrStringLimit
	default:
		return nil
	}
}

// checkReplace is asked with (text, old, new, most).
func checkReplace(_ *Run, args arguments) error {
	var texts [3]string
	for i := range texts {
		text, err := args.compatibleText(i)
		if err != nil {
			return nil
		}
		texts[i] = text
	}
	most, err := args.compatibleInt(3)
	if err != nil {
		return nil
	}
	count := strings.Count(texts[0], texts[1])
	if most >= 0 {
		count = min(count, most)
	}
	growth := len(texts[2]) - len(texts[1])
	if growth > 0 && (tooLong(count, growth) || len(texts[0])+count*growth > tengo.MaxStringLen) {
		return tengo.ErrStringLimit
	}
	return nil
}

// tooLong tells, without overflow, whether so many texts of a length are too long together.
func tooLong(count, length int) bool {
	return length > 0 && count > tengo.MaxStringLen/length
}

// checkFormatFloat is asked with (number, format, precision, bits).
func checkFormatFloat(_ *Run, args arguments) error {
	if len(args) != 4 {
		return nil
	}
	if format, err := args.compatibleText(1); err == nil && len(format) != 1 {
		return errors.New("text.format_float: the format must be one of b e E f g G x X")
	}
	if precision, err := args.compatibleInt(2); err == nil && precision >= tengo.MaxStringLen {
		return tengo.ErrStringLimit
	}
	if bits, err := args.compatibleInt(3); err == nil && bits != 32 && bits != 64 {
		return errors.New("text.format_float: the bits must be 32 or 64")
	}
	return nil
}

func checkFormatInt(_ *Run, args arguments) error {
	if base, err := args.compatibleInt(1); err == nil && len(args) == 2 && (base < 2 || base > 36) {
		return errors.New("text.format_int: the base must be from 2 to 36")
	}
	return nil
}

// joining puts as much of a filling as is missing beside a text.
type joining func(text, filling string, missing int) string

// padding makes a function of (text, length, pad), where the pad is a space if it is not given.
func padding(join joining) tengo.CallableFunc {
	return func(objects ...tengo.Object) (tengo.Object, error) {
		args := arguments(objects)
		if err := args.between(2, 3); err != nil {
			return nil, err
		}
		text, err := args.compatibleText(0)
		if err != nil {
			return nil, err
		}
		length, err := args.compatibleInt(1)
		if err != nil {
			return nil, err
		}
		pad := " "
		if len(args) == 3 {
			if pad, err = args.compatibleText(2); err != nil {
				return nil, err
			}
		}
		return padded(text, length, pad, join)
	}
}

func padded(text string, length int, pad string, join joining) (tengo.Object, error) {
	if length > tengo.MaxStringLen {
		return nil, tengo.ErrStringLimit
	}
	if length <= len(text) || pad == "" {
		return &tengo.String{Value: text}, nil
	}
	missing := length - len(text)
	filling := strings.Repeat(pad, missing/len(pad)+1)
	return &tengo.String{Value: join(text, filling, missing)}, nil
}

// The filling of the left ends, and that of the right begins, with a whole pad.
func padLeft(text, filling string, missing int) string  { return filling[len(filling)-missing:] + text }
func padRight(text, filling string, missing int) string { return text + filling[:missing] }

// setFunctions are those that look for any character of a set. Go's own take the product of the lengths in time.
func setFunctions() map[string]tengo.CallableFunc {
	type holds = func(rune) bool
	return map[string]tengo.CallableFunc{
		"contains_any":   onSet(func(text string, in holds) tengo.Object { return truth(strings.ContainsFunc(text, in)) }),
		"index_any":      onSet(func(text string, in holds) tengo.Object { return number(strings.IndexFunc(text, in)) }),
		"last_index_any": onSet(func(text string, in holds) tengo.Object { return number(strings.LastIndexFunc(text, in)) }),
		"trim":           onSet(func(text string, in holds) tengo.Object { return &tengo.String{Value: strings.TrimFunc(text, in)} }),
		"trim_left":      onSet(func(text string, in holds) tengo.Object { return &tengo.String{Value: strings.TrimLeftFunc(text, in)} }),
		"trim_right":     onSet(func(text string, in holds) tengo.Object { return &tengo.String{Value: strings.TrimRightFunc(text, in)} }),
	}
}

func onSet(function func(text string, in func(rune) bool) tengo.Object) tengo.CallableFunc {
	return func(objects ...tengo.Object) (tengo.Object, error) {
		args := arguments(objects)
		if err := args.between(2, 2); err != nil {
			return nil, err
		}
		text, err := args.compatibleText(0)
		if err != nil {
			return nil, err
		}
		characters, err := args.compatibleText(1)
		if err != nil {
			return nil, err
		}
		set := make(map[rune]bool)
		for _, each := range characters {
			set[each] = true
		}
		return function(text, func(r rune) bool { return set[r] }), nil
	}
}

func truth(is bool) tengo.Object {
	if is {
		return tengo.TrueValue
	}
	return tengo.FalseValue
}

func number(n int) tengo.Object {
	return &tengo.Int{Value: int64(n)}
}
