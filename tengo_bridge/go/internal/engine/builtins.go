package engine

import (
	"maps"
	"slices"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"
)

// builtinAssignment finds the first assignment to a builtin function, in the program or else in its modules. It is
// asked once it is known that there is one, as it knows nothing of scopes: what a file declares under the name of a
// builtin before is passed over.
func (job compileJob) builtinAssignment() (name, at string, found bool) {
	if name, at, found = builtinAssignmentIn(job.file, job.source); found {
		return name, at, found
	}
	for _, module := range slices.Sorted(maps.Keys(job.modules)) {
		if name, at, found = builtinAssignmentIn(module, job.modules[module]); found {
			return name, at, found
		}
	}
	return "", "", false
}

func builtinAssignmentIn(file string, source []byte) (name, at string, found bool) {
	places := sourceFile(file, source)
	scanner := parser.NewScanner(places, source, nil, 0)
	builtins := builtinNames()
	target, targetAt := "", parser.NoPos
	for {
		each, literal, position := scanner.Scan()
		switch {
		case each == token.EOF:
			return "", "", false
		case each == token.Define && target != "":
			delete(builtins, target)
		case assigns(each) && target != "":
			return target, places.Position(targetAt).String(), true
		}
		target = ""
		if each == token.Ident && builtins[literal] {
			target, targetAt = literal, position
		}
	}
}

func builtinNames() map[string]bool {
	names := map[string]bool{}
	for _, function := range tengo.GetAllBuiltinFunctions() {
		names[function.Name] = true
	}
	return names
}

func assigns(each token.Token) bool {
	return each == token.Assign || each == token.Inc || each == token.Dec ||
		(each >= token.AddAssign && each <= token.AndNotAssign)
}
