// Package modules holds the modules that a Tengo program can import besides those of its own domain: the harmless ones
// of Tengo's library, and ours, which act for the run that calls them.
package modules

import (
	"maps"
	"slices"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// Slot is the place where a virtual machine's modules find the run that they act for.
type Slot struct {
	Run *Run
}

// builders makes the functions of each module; those of Tengo's library are bounded.
func builders() map[string]func(*Slot) map[string]tengo.Object {
	return map[string]func(*Slot) map[string]tengo.Object{
		"base64": library("base64"),
		"cgi":    cgiModule,
		"enum":   nil, // written in Tengo, so it becomes part of the program
		"fmt":    fmtModule,
		"hex":    library("hex"),
		"http":   httpModule,
		"json":   jsonModule,
		"log":    logModule,
		"math":   mathModule,
		"rand":   randModule,
		"text":   textModule,
		"times":  timesModule,
	}
}

func library(name string) func(*Slot) map[string]tengo.Object {
	return func(slot *Slot) map[string]tengo.Object { return libraryModule(name, slot, nil) }
}

// Names lists what is importable without being supplied, sorted.
func Names() []string {
	return slices.Sorted(maps.Keys(builders()))
}

// ForCompiler gives the compiler these modules and the supplied sources. Modules made in Go are only named here: Bind
// fills them in for each virtual machine.
func ForCompiler(sources map[string][]byte) *tengo.ModuleMap {
	all := tengo.NewModuleMap()
	for name, source := range sources {
		all.AddSourceModule(name, source)
	}
	for name, build := range builders() {
		if build == nil {
			all.AddSourceModule(name, []byte(stdlib.SourceModules[name]))
		} else {
			all.AddBuiltinModule(name, nil)
		}
	}
	return all
}

// Bind makes a virtual machine's own copy of a program's constants: modules act for the run in the slot, and strings
// are copied since Tengo keeps notes inside them while it runs.
func Bind(constants []tengo.Object, slot *Slot) []tengo.Object {
	build := builders()
	own := make([]tengo.Object, len(constants))
	for i, constant := range constants {
		switch constant := constant.(type) {
		case *tengo.String:
			own[i] = &tengo.String{Value: constant.Value}
		case *tengo.ImmutableMap:
			name := constant.Value["__module_name__"].(*tengo.String).Value
			own[i] = (&tengo.BuiltinModule{Attrs: build[name](slot)}).AsImmutableMap(name)
		default:
			own[i] = constant
		}
	}
	return own
}

// functions turns Go functions into the members of a module.
func functions(named map[string]tengo.CallableFunc) map[string]tengo.Object {
	members := make(map[string]tengo.Object, len(named))
	for name, function := range named {
		members[name] = &tengo.UserFunction{Name: name, Value: function}
	}
	return members
}
