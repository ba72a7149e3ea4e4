// Package engine compiles and runs Tengo programs for a worker, which speaks to it in frames.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

// ABI is the version of the frames and of the library's functions.
const ABI = 2

// unreadTime is how long the last frames may take to be written when the worker has closed its end.
const unreadTime = time.Second

// Serve answers frames until the worker closes its end; then it ends all runs. It closes the connection. The error is
// nil unless the stream does not hold what a worker may send.
func Serve(connection net.Conn) error {
	s := newServer(connection)
	s.out.send(mustMessage(frame.Ready, 0, frame.ReadyMeta{
		ABI: ABI, Languages: languages(), Modules: modules.Names(),
	}))
	err := s.readAll(frame.NewReader(connection))
	s.close()
	return err
}

// server is one executor. Only its reader starts anything.
type server struct {
	connection net.Conn
	out        *outbox
	working    sync.WaitGroup
	idle       chan func() // read by goroutines without work
	runs       *table[uint32, *run]
	programs   *table[string, *program]

	// Read and changed by the reader alone.
	limits  limits
	client  *modules.Client // nil until the first compile, which ends the time to configure
	runtime *machine.Runtime
	watch   *watch
}

func newServer(connection net.Conn) *server {
	return &server{
		connection: connection,
		out:        newOutbox(connection),
		idle:       make(chan func()),
		runs:       newTable[uint32, *run](),
		programs:   newTable[string, *program](),
		limits:     defaultLimits(),
	}
}

// close ends what is running, and waits for it.
func (s *server) close() {
	for _, r := range s.runs.values() {
		r.end(errCancelled)
	}
	if s.watch != nil {
		close(s.watch.stop)
	}
	_ = s.connection.SetWriteDeadline(time.Now().Add(unreadTime)) // it fails only on a connection that is gone
	s.working.Wait()
	close(s.idle)
	s.out.close()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	_ = s.connection.Close()
}

func (s *server) readAll(stream *frame.Reader) error {
	for {
		f, err := stream.Next()
		if ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.handle(f); err != nil {
			return err
		}
	}
}

// ended tells the end of the stream, be it orderly or not, from a stream that holds something else than frames.
func ended(err error) bool {
	var broken *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken)
}

// handle acts on a frame. It never waits, neither for work nor for room in the outbox.
func (s *server) handle(f frame.Frame) error {
	switch f.Kind {
	case frame.Configure:
		return s.configure(f)
	case frame.Compile:
		return s.compile(f)
	case frame.Forget:
		return s.forget(f)
	case frame.Run:
		return s.run(f)
	case frame.Cancel:
		s.cancelRun(f)
		return nil
	case frame.Ping:
		s.ping(f)
		return nil
	default:
		return fmt.Errorf("a worker does not send frames of kind %d", f.Kind)
	}
}

func (s *server) configure(f frame.Frame) error {
	var chosen frame.ConfigureMeta
	if err := f.DecodeMeta(&chosen); err != nil {
		return err
	}
	if s.client != nil {
		return errors.New("the configuration comes too late: it must precede all programs")
	}
	s.limits = s.limits.configured(chosen)
	return s.begin()
}

// begin puts the limits into force, once.
func (s *server) begin() (err error) {
	if s.client == nil {
		s.limits.applyToProcess()
		s.runtime = machine.NewRuntime(s.limits.ofMachines())
		s.watch = newWatch(s.runs, s.limits.heapBytes())
		s.start(s.watch.watch)
		s.start(s.watch.processors.change)
		s.client, err = modules.NewClient(s.limits.client)
	}
	return err
}

func (s *server) compile(f frame.Frame) error {
	var meta frame.CompileMeta
	if err := f.DecodeMeta(&meta); err != nil {
		return err
	}
	job, err := newCompileJob(meta, f.Body)
	if err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.watch.compiling.Add(1)
	s.watch.wake()
	s.start(func() {
		result := job.compile(s.limits, s.runtime)
		s.watch.compiling.Add(-1)
		s.out.send(s.compiled(f.ID, meta.Key, result))
	})
	return nil
}

// compiled keeps a program and gives the answer to its Compile frame.
func (s *server) compiled(id uint32, key string, result compiled) frame.Frame {
	switch {
	case result.failure != nil:
		return mustMessage(frame.Refused, id, frame.RefusedMeta{Error: *result.failure})
	case result.needs != nil:
		return mustMessage(frame.Needs, id, frame.NeedsMeta{Modules: result.needs})
	default:
		s.programs.put(key, result.program)
		return mustMessage(frame.Compiled, id, frame.CompiledMeta{Modules: result.modules, Bytes: result.bytes})
	}
}

func (s *server) forget(f frame.Frame) error {
	var meta frame.ForgetMeta
	if err := f.DecodeMeta(&meta); err != nil {
		return err
	}
	s.programs.remove(meta.Key)
	return nil
}

func (s *server) run(f frame.Frame) error {
	started := time.Now()
	meta, err := frame.ReadRun(f)
	if err != nil {
		return err
	}
	program, known := s.programs.get(meta.Key)
	if !known {
		s.start(func() { s.out.send(unknownProgram(f.ID)) })
		return nil
	}
	if _, busy := s.runs.get(f.ID); busy {
		return fmt.Errorf("a run with the id %d is still going on", f.ID)
	}
	r := s.newRun(f, meta, program, started)
	s.runs.put(r.id, r)
	s.watch.wake()
	s.start(r.perform)
	return nil
}

func unknownProgram(id uint32) frame.Frame {
	return mustMessage(frame.Done, id, frame.DoneMeta{
		Outcome: "failed", Error: failure("runtime", "program is not compiled here"),
	})
}

func (s *server) newRun(f frame.Frame, meta frame.RunMeta, program *program, started time.Time) *run {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &run{
		id: f.ID, meta: meta, program: program, started: started,
		ctx: ctx, cancel: cancel, out: s.out, watch: s.watch, runs: s.runs,
	}
	r.services = &modules.Run{
		Context: ctx, Client: s.client, Limits: s.limits.run, Log: r.log, Request: meta.Request, Body: f.Body,
	}
	return r
}

func (s *server) cancelRun(f frame.Frame) {
	if r, ok := s.runs.get(f.ID); ok {
		r.end(errCancelled)
	}
}

func (s *server) ping(f frame.Frame) {
	s.start(func() {
		s.out.send(mustMessage(frame.Pong, f.ID, frame.PongMeta{
			Runs: s.runs.size(), Goroutines: runtime.NumGoroutine(), HeapBytes: heapBytes(),
		}))
	})
}

// start does work that may take long, or wait for the worker, beside the reader.
func (s *server) start(work func()) {
	s.working.Add(1)
	select {
	case s.idle <- work:
	default:
		go s.work(work)
	}
}

// work does one work after the other. A goroutine that has worked has a stack of the right size, which is worth keeping.
func (s *server) work(first func()) {
	first()
	s.working.Done()
	for next := range s.idle {
		next()
		s.working.Done()
	}
}
