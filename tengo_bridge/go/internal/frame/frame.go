// Package frame is the Go side of the frames between a worker and an executor; testdata/frames.json defines them for
// both sides, and the Python side is tengo_bridge/frames.py.
package frame

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// MaxBytes is the largest length field that either side sends or accepts.
const MaxBytes = 16 << 20

const (
	lengthFieldBytes = 4
	headerBytes      = 13
	shortestBytes    = headerBytes - lengthFieldBytes
)

// Kind says what a frame is about.
type Kind uint8

// The kinds of frames. Each is followed by who sends it.
const (
	Ready     Kind = 1 + iota // executor
	Configure                 // worker
	Compile                   // worker
	Compiled                  // executor
	Needs                     // executor
	Refused                   // executor
	Forget                    // worker
	Run                       // worker
	Log                       // executor
	Done                      // executor
	Cancel                    // worker
	Ping                      // worker
	Pong                      // executor
)

func (k Kind) valid() bool { return k >= Ready && k <= Pong }

// Frame is one message: Meta is a JSON object, or nothing at all for an empty one; Body travels as it is.
type Frame struct {
	Kind Kind
	ID   uint32
	Meta []byte
	Body []byte
}

// Message is a frame of which the meta data is the JSON of a value.
func Message(kind Kind, id uint32, meta any) (Frame, error) {
	text, err := json.Marshal(meta)
	if err != nil {
		return Frame{}, fmt.Errorf("meta data of a frame of kind %d: %w", kind, err)
	}
	return Frame{Kind: kind, ID: id, Meta: text}, nil
}

// DecodeMeta reads the meta data into a struct; fields it does not have are ignored.
func (f Frame) DecodeMeta(into any) error {
	if len(f.Meta) == 0 {
		return nil
	}
	if !bytes.HasPrefix(bytes.TrimLeft(f.Meta, " \t\r\n"), []byte("{")) {
		return fmt.Errorf("the meta data of a frame of kind %d is no JSON object", f.Kind)
	}
	if err := json.Unmarshal(f.Meta, into); err != nil {
		return fmt.Errorf("the meta data of a frame of kind %d cannot be read: %w", f.Kind, err)
	}
	return nil
}

// Encode gives the bytes of the frame, or an error if it is over MaxBytes.
func (f Frame) Encode() ([]byte, error) {
	length := shortestBytes + len(f.Meta) + len(f.Body)
	if length > MaxBytes {
		return nil, fmt.Errorf("a frame of kind %d and %d bytes is over the limit of %d bytes", f.Kind, length, MaxBytes)
	}
	data := make([]byte, 0, lengthFieldBytes+length)
	data = binary.BigEndian.AppendUint32(data, uint32(length))
	data = append(data, byte(f.Kind))
	data = binary.BigEndian.AppendUint32(data, f.ID)
	data = binary.BigEndian.AppendUint32(data, uint32(len(f.Meta)))
	data = append(data, f.Meta...)
	return append(data, f.Body...), nil
}

// Reader reads frames from a stream.
type Reader struct {
	stream *bufio.Reader
}

// NewReader makes a Reader of a stream.
func NewReader(stream io.Reader) *Reader {
	return &Reader{stream: bufio.NewReaderSize(stream, 64<<10)}
}

// Next gives the next frame. It is io.EOF where the stream ends between two frames; after any other error the stream
// cannot be read on.
func (r *Reader) Next() (Frame, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r.stream, header[:lengthFieldBytes]); err != nil {
		return Frame{}, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length < shortestBytes || length > MaxBytes {
		return Frame{}, fmt.Errorf("a frame's length is %d bytes, not %d to %d", length, shortestBytes, MaxBytes)
	}
	if _, err := io.ReadFull(r.stream, header[lengthFieldBytes:]); err != nil {
		return Frame{}, cutShort(err)
	}
	return r.rest(header, int(length)-shortestBytes)
}

func (r *Reader) rest(header [headerBytes]byte, contentBytes int) (Frame, error) {
	f := Frame{Kind: Kind(header[4]), ID: binary.BigEndian.Uint32(header[5:])}
	metaBytes := binary.BigEndian.Uint32(header[9:])
	if !f.Kind.valid() {
		return Frame{}, fmt.Errorf("no frame is of kind %d", f.Kind)
	}
	if uint64(metaBytes) > uint64(contentBytes) {
		return Frame{}, fmt.Errorf("a frame with %d bytes of content claims %d bytes of meta data", contentBytes, metaBytes)
	}
	content := make([]byte, contentBytes)
	if _, err := io.ReadFull(r.stream, content); err != nil {
		return Frame{}, cutShort(err)
	}
	f.Meta, f.Body = content[:metaBytes:metaBytes], content[metaBytes:]
	return f, nil
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
