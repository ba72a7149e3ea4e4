package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// client is a worker as far as an executor can tell.
type client struct {
	t      testing.TB
	conn   net.Conn
	frames *frame.Reader
	served chan error
	lastID uint32
}

// connect starts an executor on one end of a socket pair, and ends it with the test.
func connect(t testing.TB) *client {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := connectionOf(t, ends[0]), connectionOf(t, ends[1])
	c := &client{t: t, conn: ours, frames: frame.NewReader(ours), served: make(chan error, 1)}
	go func() { c.served <- Serve(theirs) }()
	var ready frame.ReadyMeta
	c.expect(frame.Ready, &ready)
	t.Cleanup(func() {
		ours.Close()
		select {
		case <-c.served:
		case <-time.After(patience):
			t.Error("the executor goes on after its stream has ended")
		}
	})
	return c
}

func connectionOf(t testing.TB, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "end")
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func (c *client) id() uint32 {
	c.lastID++
	return c.lastID
}

func (c *client) send(f frame.Frame) {
	c.t.Helper()
	if _, err := c.conn.Write(mustEncode(f)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() frame.Frame {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	f, err := c.frames.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *client) expect(kind frame.Kind, into any) frame.Frame {
	c.t.Helper()
	f := c.next()
	if f.Kind != kind {
		c.t.Fatalf("a frame of kind %d came, not %d: %s", f.Kind, kind, f.Meta)
	}
	if err := f.DecodeMeta(into); err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *client) configure(chosen frame.ConfigureMeta) {
	c.t.Helper()
	c.send(mustMessage(frame.Configure, 0, chosen))
}

// compile sends a program named "main" under its own source as the key. Modules are name, source, name, source, ….
func (c *client) compile(source string, modules ...string) frame.Frame {
	c.t.Helper()
	meta := frame.CompileMeta{Key: source, Language: "tengo", File: "main", SourceBytes: len(source)}
	body := source
	for i := 0; i < len(modules); i += 2 {
		meta.Modules = append(meta.Modules, frame.ModuleSource{Name: modules[i], Bytes: len(modules[i+1])})
		body += modules[i+1]
	}
	f := mustMessage(frame.Compile, c.id(), meta)
	f.Body = []byte(body)
	c.send(f)
	answer := c.next()
	if answer.ID != f.ID {
		c.t.Fatalf("the answer to compile %d has the id %d", f.ID, answer.ID)
	}
	return answer
}

func (c *client) compiles(source string, modules ...string) []string {
	c.t.Helper()
	answer := c.compile(source, modules...)
	if answer.Kind != frame.Compiled {
		c.t.Fatalf("%s is not compiled: %s", source, answer.Meta)
	}
	var meta frame.CompiledMeta
	if err := answer.DecodeMeta(&meta); err != nil {
		c.t.Fatal(err)
	}
	return meta.Modules
}

func (c *client) refuses(source string, modules ...string) frame.Failure {
	c.t.Helper()
	answer := c.compile(source, modules...)
	if answer.Kind != frame.Refused {
		c.t.Fatalf("%q is not refused: kind %d, %s", source, answer.Kind, answer.Meta)
	}
	var meta frame.RefusedMeta
	if err := answer.DecodeMeta(&meta); err != nil {
		c.t.Fatal(err)
	}
	if meta.Error.Kind != "compile" {
		c.t.Errorf("%q is refused with an error of kind %q", source, meta.Error.Kind)
	}
	return meta.Error
}

// result is what came of a run.
type result struct {
	frame.DoneMeta
	body string
	log  []frame.LogMeta
}

func (r result) failure(t testing.TB) frame.Failure {
	t.Helper()
	if r.Error == nil {
		t.Fatalf("the run ended well: %+v", r)
	}
	return *r.Error
}

// messages joins the log.
func (r result) messages() string {
	var lines []string
	for _, line := range r.log {
		lines = append(lines, line.Message)
	}
	return strings.Join(lines, "\n")
}

func (c *client) start(source string, deadlineMS int64, request *frame.Request, body string) uint32 {
	c.t.Helper()
	f := mustMessage(frame.Run, c.id(), frame.RunMeta{Key: source, DeadlineMS: deadlineMS, Request: request})
	f.Body = []byte(body)
	c.send(f)
	return f.ID
}

// finish reads until one run is done, which must be the only one that speaks.
func (c *client) finish(id uint32) (r result) {
	c.t.Helper()
	for {
		f := c.next()
		if f.ID != id {
			c.t.Fatalf("a frame of run %d came while %d was waited for", f.ID, id)
		}
		switch f.Kind {
		case frame.Log:
			var line frame.LogMeta
			if err := f.DecodeMeta(&line); err != nil {
				c.t.Fatal(err)
			}
			r.log = append(r.log, line)
		case frame.Done:
			if err := f.DecodeMeta(&r.DoneMeta); err != nil {
				c.t.Fatal(err)
			}
			r.body = string(f.Body)
			return r
		default:
			c.t.Fatalf("a frame of kind %d came within a run", f.Kind)
		}
	}
}

// run compiles and runs a program with a generous deadline.
func (c *client) run(source string, modules ...string) result {
	c.t.Helper()
	c.compiles(source, modules...)
	return c.finish(c.start(source, 60_000, nil, ""))
}

// answer compiles and runs a program for a request.
func (c *client) answer(source string, request frame.Request, body string) result {
	c.t.Helper()
	c.compiles(source)
	return c.finish(c.start(source, 60_000, &request, body))
}

// prints runs a program and gives what it logs; a run that does not end well fails the test.
func (c *client) prints(source string, modules ...string) string {
	c.t.Helper()
	r := c.run(source, modules...)
	if r.Outcome != "succeeded" {
		c.t.Fatalf("%s: %s, %+v", source, r.Outcome, r.Error)
	}
	return r.messages()
}

// streamEnds waits for the executor to close its end, and gives what Serve returned.
func (c *client) streamEnds() error {
	c.t.Helper()
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.frames.Next(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				c.t.Fatal(err)
			}
			break
		}
	}
	err := <-c.served
	c.served <- nil // for the clean-up
	return err
}
