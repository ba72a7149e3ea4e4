// Package main is what the worker is measured against: the same task over HTTP in plain Go, the way one would write it
// without wanting deadlines, isolation or modules; and a bare virtual machine of Tengo.
//
//	plain_go serve      answers POST /v1/tasks, on a free port of 127.0.0.1 that it prints
//	plain_go fibonacci  prints how many microseconds a run of fib(20) takes on a machine used again
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
)

const fibonacci = `fib := func(n) { if n < 2 { return n }; return fib(n-1) + fib(n-2) }; x := fib(20)`

func main() {
	switch mode := append(os.Args, "", "")[1]; mode {
	case "serve":
		serve()
	case "fibonacci":
		measureFibonacci()
	default:
		log.Fatalf("plain_go: serve or fibonacci, not %q", mode)
	}
}

type task struct {
	Deadline    int    `json:"deadline"`
	Domain      string `json:"domain"`
	Language    string `json:"language"`
	ProgramUUID string `json:"program_uuid"`
	SourceCode  []byte `json:"source_code"`
}

type compiled struct {
	bytecode *tengo.Bytecode
	globals  int
}

func compile(source []byte) (compiled, error) {
	file := parser.NewFileSet().AddFile("main", -1, len(source))
	tree, err := parser.NewParser(file, source, nil).ParseFile()
	if err != nil {
		return compiled{}, err
	}
	symbols := tengo.NewSymbolTable()
	compiler := tengo.NewCompiler(file, symbols, nil, nil, nil)
	if err := compiler.Compile(tree); err != nil {
		return compiled{}, err
	}
	return compiled{compiler.Bytecode(), symbols.MaxSymbols()}, nil
}

func (c compiled) run() error {
	return tengo.NewVM(c.bytecode, make([]tengo.Object, c.globals+1), -1).Run()
}

// server compiles each source once, and makes a machine for each run.
type server struct {
	mutex    sync.Mutex
	programs map[string]compiled
}

func (s *server) program(source []byte) (compiled, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known, ok := s.programs[string(source)]; ok {
		return known, nil
	}
	program, err := compile(source)
	if err == nil {
		s.programs[string(source)] = program
	}
	return program, err
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := r.BasicAuth(); !ok {
		http.Error(w, "no credentials", http.StatusUnauthorized)
		return
	}
	var asked task
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	program, err := s.program(asked.SourceCode)
	if err == nil {
		err = program.run()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", "0")
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, &server{programs: map[string]compiled{}}))
}

func measureFibonacci() {
	program, err := compile([]byte(fibonacci))
	if err != nil {
		log.Fatal(err)
	}
	machine := tengo.NewVM(program.bytecode, make([]tengo.Object, program.globals+1), -1)
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
