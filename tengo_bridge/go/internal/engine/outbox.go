package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"selfhost/libtengo/internal/frame"
)

const (
	outboxFrames = 256
	writeBuffer  = 64 << 10

	// A frame that comes so soon after the last flush is one of many, and waits until every other run had its turn.
	// Where runs keep the processors busy and frames are rare, that could take long, and none waits.
	gathering = 200 * time.Microsecond
)

// outbox is where frames go to be written, by one goroutine, in their order. A full one makes its senders wait.
type outbox struct {
	frames  chan []byte
	written chan struct{} // closed when the last frame is written, or given up
}

func newOutbox(stream io.Writer) *outbox {
	o := &outbox{frames: make(chan []byte, outboxFrames), written: make(chan struct{})}
	go o.write(bufio.NewWriterSize(stream, writeBuffer))
	return o
}

// send waits for room.
func (o *outbox) send(f frame.Frame) {
	o.frames <- mustEncode(f)
}

// sendUntil waits for room until the context is done; false if it gave up.
func (o *outbox) sendUntil(ctx context.Context, f frame.Frame) bool {
	select {
	case o.frames <- mustEncode(f):
		return true
	case <-ctx.Done():
		return false
	}
}

// close waits until all has been written. Nobody may send any more.
func (o *outbox) close() {
	close(o.frames)
	<-o.written
}

// write writes what comes, and flushes when nothing more is about to come. Where nobody reads any more, the frames are
// dropped: the reader of the stream sees its end and stops everything.
func (o *outbox) write(stream *bufio.Writer) {
	defer close(o.written)
	var failed error
	var flushed time.Time
	for data := range o.frames {
		if failed != nil {
			continue
		}
		if _, failed = stream.Write(data); failed != nil {
			continue
		}
		if len(o.frames) == 0 && time.Since(flushed) < gathering {
			runtime.Gosched()
		}
		if len(o.frames) == 0 {
			failed = stream.Flush()
			flushed = time.Now()
		}
	}
}

// mustMessage makes a frame of a struct of ours.
func mustMessage(kind frame.Kind, id uint32, meta any) frame.Frame {
	return must(frame.Message(kind, id, meta))
}

// must takes a frame of a struct of ours, which JSON can always hold.
func must(message frame.Frame, err error) frame.Frame {
	if err != nil {
		panic(fmt.Errorf("a message that JSON cannot hold: %w", err))
	}
	return message
}

// mustEncode encodes a frame of ours; all that goes into one is bounded far below the limit.
func mustEncode(f frame.Frame) []byte {
	data, err := f.Encode()
	if err != nil {
		panic(fmt.Errorf("a frame larger than the limits allow: %w", err))
	}
	return data
}
