package engine

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/token"

	"selfhost/libtengo/internal/frame"
)

// namedModule is what a module of a domain may be called in an import: its name, and perhaps a revision. A domain sets
// few limits to names.
var namedModule = regexp.MustCompile(`^[^@\x00-\x1f\x7f]+(@(latest|[0-9]+))?$`)

// imported is one import expression.
type imported struct {
	name string
	at   string
}

// importGraph is what a program reaches by its imports, as far as the supplied sources tell.
type importGraph struct {
	sources map[string][]byte // of the supplied modules
	builtin []string

	reached map[string]string // named modules, and the place that first imports them
	missing []frame.NeededModule
}

// walk follows the imports of a file. The chain holds the modules that lead to it, and it itself.
func (g *importGraph) walk(file string, source []byte, chain []string) *frame.Failure {
	imports, err := importsOf(file, source)
	if err != nil {
		return compileFailure(err)
	}
	for _, each := range imports {
		if failure := g.follow(each, chain); failure != nil {
			return failure
		}
	}
	return nil
}

func (g *importGraph) follow(each imported, chain []string) *frame.Failure {
	if slices.Contains(g.builtin, each.name) {
		return nil
	}
	if !importable(each.name) {
		return failure("compile", fmt.Sprintf("module '%s' cannot be imported: importable are %s, "+
			"and the modules of this domain by name, name@latest or name@N", each.name, strings.Join(g.builtin, ", ")), each.at)
	}
	if start := slices.Index(chain, each.name); start >= 0 {
		cycle := strings.Join(append(slices.Clone(chain[start:]), each.name), " -> ")
		return failure("compile", "modules import each other in a circle: "+cycle, each.at)
	}
	if _, again := g.reached[each.name]; again {
		return nil
	}
	g.reached[each.name] = each.at
	source, supplied := g.sources[each.name]
	if !supplied {
		g.missing = append(g.missing, frame.NeededModule{Name: each.name, At: each.at})
		return nil
	}
	return g.walk(each.name, source, append(slices.Clip(chain), each.name))
}

// placesFrom gives a place, the place that imports its file, and so on out to the program.
func (g *importGraph) placesFrom(place string) []string {
	places := []string{place}
	for {
		importer, ok := g.reached[fileOf(place)]
		if !ok || slices.Contains(places, importer) {
			return places
		}
		places = append(places, importer)
		place = importer
	}
}

// names lists the named modules that are imported, sorted.
func (g *importGraph) names() []string {
	return append([]string{}, slices.Sorted(maps.Keys(g.reached))...)
}

// fileOf takes line and column off a place.
func fileOf(place string) string {
	parts := strings.Split(place, ":")
	return strings.Join(parts[:max(len(parts)-2, 0)], ":")
}

// importable tells a name from a path and from the modules that are kept from programs.
func importable(name string) bool {
	return namedModule.MatchString(name) && name != "os" && !strings.HasSuffix(name, ".tengo") &&
		!strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "/")
}

// importsOf lists a file's import expressions in their order, or gives the file's syntax errors.
func importsOf(name string, source []byte) ([]imported, error) {
	if _, err := parser.NewParser(sourceFile(name, source), source, nil).ParseFile(); err != nil {
		return nil, err
	}
	file := sourceFile(name, source)
	scanner := parser.NewScanner(file, source, nil, 0)
	var imports []imported
	for {
		found, _, at := scanner.Scan()
		if found == token.EOF {
			return imports, nil
		}
		if found != token.Import {
			continue
		}
		scanner.Scan() // the parenthesis; the syntax is known to be good
		_, quoted, _ := scanner.Scan()
		module, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: the name of an imported module, %s: %w", file.Position(at), quoted, err)
		}
		imports = append(imports, imported{module, file.Position(at).String()})
	}
}

func sourceFile(name string, source []byte) *parser.SourceFile {
	return parser.NewFileSet().AddFile(name, -1, len(source))
}
