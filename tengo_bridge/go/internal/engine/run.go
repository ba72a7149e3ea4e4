package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"selfhost/libtengo/internal/frame"
	"selfhost/libtengo/internal/machine"
	"selfhost/libtengo/internal/modules"
)

// errCancelled is the cause with which the worker ends a run.
var errCancelled = errors.New("cancelled")

// deadlineError is the cause with which a deadline ends a run.
type deadlineError struct {
	milliseconds int64
}

func (e deadlineError) Error() string {
	return fmt.Sprintf("deadline of %d ms exceeded", e.milliseconds)
}

// run is one run of a program, from its Run frame to its Done frame.
type run struct {
	id       uint32
	meta     frame.RunMeta
	program  *program
	started  time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc
	out      *outbox
	watch    *watch
	runs     *table[uint32, *run] // the run is in it until its end
	services *modules.Run

	forgiven atomic.Int64 // bytes that it had allocated when memory was last plentiful

	mutex   sync.Mutex
	machine *boundMachine // only while the program runs
}

// perform is the whole run; it ends with the Done frame.
func (r *run) perform() {
	deadline := time.AfterFunc(time.Duration(r.meta.DeadlineMS)*time.Millisecond, r.expire)
	r.watch.admit()
	err := r.execute()
	deadline.Stop()
	r.runs.remove(r.id) // before the Done frame, since the worker may use the id again once it has read that
	r.out.send(r.done(err))
}

// execute runs the program on a machine. Why the run was ended counts for more than what the aborted machine says, but
// for the places where it was.
func (r *run) execute() error {
	m := r.begin()
	err := m.Run()
	cause := r.finish()
	r.program.giveBack(m)
	if cause != nil {
		return &machine.Error{Err: cause, Places: placesOf(err)}
	}
	return err
}

func placesOf(err error) []string {
	var failed *machine.Error
	if errors.As(err, &failed) {
		return failed.Places
	}
	return nil // it had come to its end
}

func (r *run) expire() {
	r.end(deadlineError{r.meta.DeadlineMS})
}

// begin takes a machine, now and not before: many runs may wait for their turn, and machines are large. The machine of
// a run that has been ended already stops at its first instruction.
func (r *run) begin() *boundMachine {
	m := r.program.take()
	m.slot.Run = r.services
	m.OnLarge = r.tookMuch
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.machine = m
	if r.ctx.Err() != nil {
		m.Abort()
	}
	return m
}

// end makes the run stop what it is doing. Before its begin that is to come, after its finish it is nothing.
func (r *run) end(cause error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.cancel(cause)
	if r.machine != nil {
		r.machine.Abort()
	}
}

// finish takes the machine from those who would abort it, and gives the cause if the run was ended before.
func (r *run) finish() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.machine = nil
	cause := context.Cause(r.ctx)
	r.cancel(nil)
	return cause
}

// done is the Done frame for the error that the run ended with.
func (r *run) done(err error) frame.Frame {
	meta := frame.DoneMeta{Outcome: "succeeded"}
	var body []byte
	var late deadlineError
	switch {
	case err == nil:
		if r.meta.Request != nil {
			meta.Response, body = r.services.Answer.Response(), r.services.Answer.Body
		}
	case errors.As(err, &late):
		meta.Outcome, meta.Error = "timed_out", failure("deadline", late.Error(), placesOf(err)...)
	case errors.Is(err, errCancelled):
		meta.Outcome, meta.Error = "cancelled", failure("cancelled", "the run was cancelled", placesOf(err)...)
	case errors.Is(err, errMemory):
		meta.Outcome, meta.Error = "failed", failure("memory", errMemory.Error(), placesOf(err)...)
	default:
		meta.Outcome, meta.Error = "failed", runtimeFailure(err)
	}
	meta.ElapsedUS = time.Since(r.started).Microseconds()
	message := must(frame.DoneMessage(r.id, meta))
	message.Body = body
	return message
}

func (r *run) tookMuch() { r.watch.makeRoom(r) }

// allocated is about how many bytes the program has allocated so far.
func (r *run) allocated() int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.machine == nil {
		return 0
	}
	return r.machine.Allocated()
}

// log passes a line on to the worker, and waits for it while it is slow, unless the run must end.
func (r *run) log(level, message string) error {
	line := frame.LogMeta{Level: level, Message: message, AtMS: time.Now().UnixMilli()}
	if !r.out.sendUntil(r.ctx, mustMessage(frame.Log, r.id, line)) {
		return context.Cause(r.ctx)
	}
	return nil
}
