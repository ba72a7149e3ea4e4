package modules

import (
	"context"
	"errors"
	"math/rand"
	"net/http"

	"selfhost/libtengo/internal/frame"
)

// ErrOutput marks an answer that has grown over its limit.
var ErrOutput = errors.New("the answer is too large")

// Limits bounds what one run may do through the modules.
type Limits struct {
	LogLines        int
	LogBytes        int
	AnswerBytes     int
	HTTPAnswerBytes int
	HTTPCalls       int // of one run
	Elements        int // of one array or map
}

// Run is what the modules know of the run they act for; nothing of it outlives the run.
type Run struct {
	Context context.Context // its cause tells why the run must end
	Client  *Client
	Limits  Limits
	Log     func(level, message string) error // passes one line on, and waits while the worker is slow

	Request *frame.Request // nil where the run answers none
	Body    []byte         // of the request
	Answer  Answer

	log       logCount
	httpCalls int
	generator *rand.Rand
}

// Answer is what a program has answered its request with so far.
type Answer struct {
	Status      int // 0 until the program chooses one
	Headers     [][2]string
	Body        []byte
	headerBytes int
}

// Response gives the answer's status, 200 unless the program chose one, and its headers.
func (a *Answer) Response() *frame.Response {
	response := &frame.Response{Status: a.Status, Headers: a.Headers}
	if response.Status == 0 {
		response.Status = http.StatusOK
	}
	if response.Headers == nil {
		response.Headers = [][2]string{}
	}
	return response
}
