package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"selfhost/libtengo/internal/machine"
)

// compilers are the languages that programs may be written in, each with what compiles it. An engine for another
// language is added here; a program that it compiles must be able to do what a program of Tengo does.
func compilers() map[string]func(compileJob, limits, *machine.Runtime) compiled {
	return map[string]func(compileJob, limits, *machine.Runtime) compiled{"tengo": compileTengo}
}

func languages() []string {
	return slices.Sorted(maps.Keys(compilers()))
}

// compile compiles a program of any language.
func (job compileJob) compile(limits limits, runtime *machine.Runtime) compiled {
	compiler, known := compilers()[job.language]
	if !known {
		return compiled{failure: failure("compile", fmt.Sprintf("language '%s' is not run here; run here: %s",
			job.language, strings.Join(languages(), ", ")))}
	}
	return compiler(job, limits, runtime)
}
