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
	"selfhost/libtengo/internal/modules"
)

// namedModule is what a module of a domain may be called in an import: its name, and perhaps a revision. A domain sets
// few limits to names.
var namedModule = regexp.MustCompile(`^[^@\x00-\x1f\x7f]+(@(latest|[0-9]+))?$`)

// imported is one import expression.
type imported struct {
	name  string
	at    string
	depth int // how deep it is nested in its file
}

// importGraph is what a program reaches by its imports, as far as the supplied sources tell.
type importGraph struct {
	sources map[string][]byte // of the supplied modules
	builtin []string
	limits  limits

	reached map[string]string // named modules, and the place that first imports them
	depths  map[string]int    // of the modules that were followed: how deep they are nested with all that they import
	missing []frame.NeededModule
}

func newImportGraph(sources map[string][]byte, limits limits) *importGraph {
	return &importGraph{
		sources: sources, builtin: modules.Names(), limits: limits,
		reached: map[string]string{}, depths: map[string]int{},
	}
}

// walk follows the imports of a file, and tells how deep it is nested with them: the compiler compiles a module where it
// is imported. The chain holds the modules that lead to the file, and it itself.
func (g *importGraph) walk(file string, source []byte, chain []string) (depth int, refusal *frame.Failure) {
	if len(source) > g.limits.sourceBytes {
		return 0, failure("compile", fmt.Sprintf("the source has %d bytes; %d are possible (limits.source_bytes)",
			len(source), g.limits.sourceBytes), file+":1:1")
	}
	depth, at := deepest(file, source, g.limits.nesting)
	if depth > g.limits.nesting {
		return 0, g.tooDeep(at)
	}
	if what, at := excess(file, source); what != "" {
		return 0, failure("compile", what, at)
	}
	imports, err := importsOf(file, source)
	if err != nil {
		return 0, compileFailure(err)
	}
	for _, each := range imports {
		if refusal := g.follow(each, chain); refusal != nil {
			return 0, refusal
		}
		depth = max(depth, each.depth+g.depths[each.name])
		if depth > g.limits.nesting {
			return 0, g.tooDeep(each.at)
		}
	}
	return depth, nil
}

func (g *importGraph) tooDeep(at string) *frame.Failure {
	return failure("compile", fmt.Sprintf("the source is nested too deep: more than %d brackets and operators, "+
		"those around the imports that lead here included, are open at once (limits.nesting)", g.limits.nesting), at)
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
	if len(g.reached) == g.limits.modules {
		return failure("compile", fmt.Sprintf("the program reaches more than %d modules by its imports (limits.modules)",
			g.limits.modules), each.at)
	}
	if len(chain) == g.limits.importDepth {
		return failure("compile", fmt.Sprintf("modules import modules more than %d deep (limits.import_depth)",
			g.limits.importDepth), each.at)
	}
	g.reached[each.name] = each.at
	source, supplied := g.sources[each.name]
	if !supplied {
		g.missing = append(g.missing, frame.NeededModule{Name: each.name, At: each.at, Via: g.placesFrom(each.at)[1:]})
		return nil
	}
	depth, refusal := g.walk(each.name, source, append(slices.Clip(chain), each.name))
	g.depths[each.name] = depth
	return refusal
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
	around := newNesting()
	for {
		found, _, at := scanner.Scan()
		if found == token.EOF {
			return imports, nil
		}
		around.add(found)
		if found != token.Import {
			continue
		}
		opening, _, _ := scanner.Scan() // the syntax is known to be good
		around.add(opening)
		_, quoted, _ := scanner.Scan()
		module, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: the name of an imported module, %s: %w", file.Position(at), quoted, err)
		}
		imports = append(imports, imported{module, file.Position(at).String(), around.depth})
	}
}

func sourceFile(name string, source []byte) *parser.SourceFile {
	return parser.NewFileSet().AddFile(name, -1, len(source))
}
