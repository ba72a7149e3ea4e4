package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"selfhost/libtengo/internal/frame"
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
	ended    func() // takes the run out of the table
	services *modules.Run
}

// perform is the whole run; it ends with the Done frame.
func (r *run) perform() {
	deadline := time.AfterFunc(time.Duration(r.meta.DeadlineMS)*time.Millisecond, r.expire)
	defer r.cancel(nil)
	defer deadline.Stop()
	err := r.execute()
	r.ended() // first, since the worker may use the id again once it has read the frame
	r.out.send(r.done(err))
}

func (r *run) expire() {
	r.cancel(deadlineError{r.meta.DeadlineMS})
}

// execute runs the program on one of its machines, which is kept if it came to the end by itself.
func (r *run) execute() error {
	machine := r.program.take()
	machine.slot.Run = r.services
	// An abort before the start is not lost, since the machine clears it at its end only. One that has begun may come
	// after the end: that machine is dropped.
	stopWatching := context.AfterFunc(r.ctx, machine.vm.Abort)
	err := machine.run()
	if stopWatching() && err == nil {
		r.program.giveBack(machine)
	}
	if cause := context.Cause(r.ctx); cause != nil {
		return cause // whatever the aborted machine says
	}
	return err
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
		meta.Outcome, meta.Error = "timed_out", failure("deadline", late.Error())
	case errors.Is(err, errCancelled):
		meta.Outcome, meta.Error = "cancelled", failure("cancelled", "the run was cancelled")
	default:
		meta.Outcome, meta.Error = "failed", runtimeFailure(err)
	}
	meta.ElapsedUS = time.Since(r.started).Microseconds()
	message := mustMessage(frame.Done, r.id, meta)
	message.Body = body
	return message
}

// log passes a line on to the worker, and waits for it while it is slow, unless the run must end.
func (r *run) log(level, message string) error {
	line := frame.LogMeta{Level: level, Message: message, AtMS: time.Now().UnixMilli()}
	if !r.out.sendUntil(r.ctx, mustMessage(frame.Log, r.id, line)) {
		return context.Cause(r.ctx)
	}
	return nil
}
