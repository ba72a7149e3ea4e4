// Package main is what the worker is measured against, in plain Go.
//
//	peer_go serve      answers POST /v1/tasks in the manner of the original worker, on a free port that it prints:
//	                   compiled programs are kept by domain and uuid, with one lock for each program, and every run
//	                   has a clone of its own
//	peer_go bare       answers everything with 200 and nothing: the ceiling of the load generator
//	peer_go fibonacci  prints how many microseconds a run of fib(20) takes on a bare machine of Tengo, used again
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/parser"
	"github.com/d5/tengo/v2/stdlib"
)

const fibonacci = `fib := func(n) { if n < 2 { return n }; return fib(n-1) + fib(n-2) }; x := fib(20)`

var modules = []string{"base64", "enum", "hex", "json", "math", "rand", "text", "times"}

func main() {
	switch mode := append(os.Args, "")[1]; mode {
	case "serve":
		serve(&worker{programs: map[string]*program{}})
	case "bare":
		serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }))
	case "fibonacci":
		measureFibonacci()
	default:
		log.Fatalf("peer_go: serve, bare or fibonacci, not %q", mode)
	}
}

func serve(handler http.Handler) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, handler))
}

type task struct {
	Deadline    int    `json:"deadline"`
	Domain      string `json:"domain"`
	Language    string `json:"language"`
	ProgramUUID string `json:"program_uuid"`
	SourceCode  []byte `json:"source_code"`
}

// program is compiled once; its lock lets one run in at a time.
type program struct {
	mutex    sync.Mutex
	compiled *tengo.Compiled
}

// worker keeps programs by domain and uuid, whatever their source is by now.
type worker struct {
	mutex    sync.Mutex
	programs map[string]*program
}

func (w *worker) program(asked *task) *program {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := asked.Domain + "." + asked.ProgramUUID
	known, ok := w.programs[key]
	if !ok {
		known = &program{}
		w.programs[key] = known
	}
	return known
}

func (p *program) run(source []byte) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.compiled == nil {
		script := tengo.NewScript(source)
		script.SetImports(stdlib.GetModuleMap(modules...))
		compiled, err := script.Compile()
		if err != nil {
			return err
		}
		p.compiled = compiled
	}
	return p.compiled.Clone().Run()
}

func (w *worker) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if _, _, ok := request.BasicAuth(); !ok {
		http.Error(answer, "no credentials", http.StatusUnauthorized)
		return
	}
	var asked task
	if err := json.NewDecoder(http.MaxBytesReader(answer, request.Body, 4<<20)).Decode(&asked); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	if err := w.program(&asked).run(asked.SourceCode); err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	answer.Header().Set("X-Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	answer.Header().Set("Content-Length", "0")
}

func measureFibonacci() {
	source := []byte(fibonacci)
	file := parser.NewFileSet().AddFile("main", -1, len(source))
	tree, err := parser.NewParser(file, source, nil).ParseFile()
	if err != nil {
		log.Fatal(err)
	}
	symbols := tengo.NewSymbolTable()
	compiler := tengo.NewCompiler(file, symbols, nil, nil, nil)
	if err := compiler.Compile(tree); err != nil {
		log.Fatal(err)
	}
	machine := tengo.NewVM(compiler.Bytecode(), make([]tengo.Object, symbols.MaxSymbols()+1), -1)
	const runs = 200
	for range 2 { // the first round warms up
		began := time.Now()
		for range runs {
			if err := machine.Run(); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Printf("%.1f\n", float64(time.Since(began).Microseconds())/runs)
	}
}
