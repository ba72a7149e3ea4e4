package modules

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/d5/tengo/v2"
)

const (
	maxPatternBytes = 64 << 10
	// maxPatternSteps bounds what a pattern becomes when its repetitions are written out. Matching takes time and memory
	// in proportion to it.
	maxPatternSteps = 10_000
)

// expression is a regular expression and the position of the text among the arguments of its functions: 1 in text.re_find
// and the like, where the pattern comes first, and 0 in those of a compiled one.
type expression struct {
	pattern *regexp.Regexp
	slot    *Slot
	text    int
}

// expressionFunction is one of the functions of an expression.
type expressionFunction func(expression, arguments) (tengo.Object, error)

// regexpFunctions take the place of Tengo's, which panic on groups that match nothing, copy without measure, and make
// lists of any length.
func regexpFunctions(slot *Slot) map[string]tengo.CallableFunc {
	return map[string]tengo.CallableFunc{
		"re_match":   onPattern(slot, 2, 2, expression.match),
		"re_find":    onPattern(slot, 2, 3, expression.find),
		"re_replace": onPattern(slot, 3, 3, expression.replace),
		"re_split":   onPattern(slot, 2, 3, expression.split),
		"re_compile": onPattern(slot, 1, 1, expression.compiled),
	}
}

// compiled gives the functions of the expression, which take the text first.
func (e expression) compiled(arguments) (tengo.Object, error) {
	e.text = 0
	return &tengo.ImmutableMap{Value: functions(compiledFunctions(e))}, nil
}

func compiledFunctions(e expression) map[string]tengo.CallableFunc {
	on := func(function expressionFunction) tengo.CallableFunc {
		return func(args ...tengo.Object) (tengo.Object, error) { return function(e, args) }
	}
	return map[string]tengo.CallableFunc{
		"match":   on(expression.match),
		"find":    on(expression.find),
		"replace": on(expression.replace),
		"split":   on(expression.split),
	}
}

// onPattern makes a function whose first argument is the pattern; one that is no pattern gives an error value.
func onPattern(slot *Slot, least, most int, function expressionFunction) tengo.CallableFunc {
	return func(args ...tengo.Object) (tengo.Object, error) {
		if err := arguments(args).between(least, most); err != nil {
			return nil, err
		}
		text, err := arguments(args).compatibleText(0)
		if err != nil {
			return nil, err
		}
		pattern, err := compilePattern(text)
		if err != nil {
			return errorValue(err.Error()), nil
		}
		return function(expression{pattern, slot, 1}, args)
	}
}

func compilePattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPatternBytes {
		return nil, errors.New("the regular expression is too long")
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if patternSteps(tree) > maxPatternSteps {
		return nil, errors.New("the regular expression is too large when its repetitions are written out")
	}
	return regexp.Compile(text)
}

func patternSteps(tree *syntax.Regexp) int {
	steps := 1
	if tree.Op == syntax.OpLiteral {
		steps = len(tree.Rune)
	}
	for _, part := range tree.Sub {
		steps += patternSteps(part)
	}
	if tree.Op == syntax.OpRepeat {
		steps *= max(tree.Min, tree.Max, 1)
	}
	return steps
}

// match(text) tells whether some part of the text matches.
func (e expression) match(args arguments) (tengo.Object, error) {
	if err := args.between(e.text+1, e.text+1); err != nil {
		return nil, err
	}
	text, err := args.compatibleText(e.text)
	if err != nil {
		return nil, err
	}
	return truth(e.pattern.MatchString(text)), nil
}

// find(text) gives the first match, find(text, most) so many or, below zero, all: each an array of the whole match and the
// groups, each of them a map of text, begin and end.
func (e expression) find(args arguments) (tengo.Object, error) {
	text, most, err := e.textAndMost(args, 1)
	if err != nil {
		return nil, err
	}
	matches, err := e.matches(text, most, 1+4*e.groups())
	if err != nil || matches == nil {
		return nil, err
	}
	found := make([]tengo.Object, len(matches))
	for i, match := range matches {
		groups := make([]tengo.Object, e.groups())
		for group := range groups {
			groups[group] = groupOf(text, match[2*group], match[2*group+1])
		}
		found[i] = &tengo.Array{Value: groups}
	}
	return &tengo.Array{Value: found}, nil
}

// groupOf describes a group; one that matched nothing lies at -1.
func groupOf(text string, begin, end int) tengo.Object {
	matched := ""
	if begin >= 0 {
		matched = text[begin:end]
	}
	return &tengo.ImmutableMap{Value: map[string]tengo.Object{
		"text": &tengo.String{Value: matched}, "begin": number(begin), "end": number(end),
	}}
}

// split(text) gives the parts between the matches, split(text, most) at most so many.
func (e expression) split(args arguments) (tengo.Object, error) {
	text, most, err := e.textAndMost(args, -1)
	if err != nil {
		return nil, err
	}
	limit := e.slot.Run.Limits.Elements
	if most < 0 || most > limit {
		most = limit + 1
	}
	parts := e.pattern.Split(text, most)
	if err := e.slot.Run.fits(len(parts)); err != nil {
		return nil, err
	}
	values := make([]tengo.Object, len(parts))
	for i, part := range parts {
		values[i] = &tengo.String{Value: part}
	}
	return &tengo.Array{Value: values}, nil
}

// replace(text, template) puts the template, in which $1 stands for a group, in the place of each match.
func (e expression) replace(args arguments) (tengo.Object, error) {
	if err := args.between(e.text+2, e.text+2); err != nil {
		return nil, err
	}
	text, err := args.compatibleText(e.text)
	if err != nil {
		return nil, err
	}
	template, err := args.compatibleText(e.text + 1)
	if err != nil {
		return nil, err
	}
	matches, err := e.matches(text, -1, e.groups())
	if err != nil {
		return nil, err
	}
	return e.replaced(text, template, matches)
}

func (e expression) replaced(text, template string, matches [][]int) (tengo.Object, error) {
	references := strings.Count(template, "$")
	var result []byte
	end := 0
	for _, match := range matches {
		result = append(result, text[end:match[0]]...)
		end = match[1]
		// No group is longer than its match.
		if most := len(template) + references*(match[1]-match[0]); len(result)+most > tengo.MaxStringLen {
			return nil, tengo.ErrStringLimit
		}
		result = e.pattern.ExpandString(result, template, text, match)
	}
	if len(result)+len(text)-end > tengo.MaxStringLen {
		return nil, tengo.ErrStringLimit
	}
	return &tengo.String{Value: string(append(result, text[end:]...))}, nil
}

// groups counts the whole match as one.
func (e expression) groups() int {
	return e.pattern.NumSubexp() + 1
}

func (e expression) textAndMost(args arguments, most int) (string, int, error) {
	if err := args.between(e.text+1, e.text+2); err != nil {
		return "", 0, err
	}
	text, err := args.compatibleText(e.text)
	if err == nil && len(args) > e.text+1 {
		most, err = args.compatibleInt(e.text + 1)
	}
	return text, most, err
}

// matches finds at most so many, or all, if what becomes of them, each so many elements, is not too much.
func (e expression) matches(text string, most, elementsEach int) ([][]int, error) {
	limit := e.slot.Run.Limits.Elements
	fitting := limit / elementsEach
	if most < 0 || most > fitting {
		most = fitting + 1
	}
	matches := e.pattern.FindAllStringSubmatchIndex(text, most)
	if len(matches) > fitting {
		return nil, TooManyElements{"the matches of a regular expression", limit}
	}
	return matches, nil
}
