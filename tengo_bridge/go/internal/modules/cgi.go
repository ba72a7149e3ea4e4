package modules

import (
	"errors"
	"fmt"

	"github.com/d5/tengo/v2"
)

var (
	errNoRequest   = errors.New("cgi: this run has no request")
	errStatusRange = errors.New("cgi.response.status: a status is a number from 200 to 599")
	errStatusLate  = errors.New("cgi.response.status: the body has begun; set the status before the first write")
)

// cgiModule lets a webhook read its request and write its answer.
func cgiModule(slot *Slot) map[string]tengo.Object {
	return map[string]tengo.Object{
		"request": &tengo.ImmutableMap{Value: functions(map[string]tengo.CallableFunc{
			"method":  reading(slot, func(r *Run) tengo.Object { return &tengo.String{Value: r.Request.Method} }),
			"path":    reading(slot, func(r *Run) tengo.Object { return &tengo.String{Value: r.Request.Path} }),
			"query":   reading(slot, func(r *Run) tengo.Object { return &tengo.String{Value: r.Request.Query} }),
			"remote":  reading(slot, func(r *Run) tengo.Object { return &tengo.String{Value: r.Request.Remote} }),
			"headers": reading(slot, requestHeaders),
			"body":    reading(slot, func(r *Run) tengo.Object { return &tengo.Bytes{Value: r.Body} }),
		})},
		"response": &tengo.ImmutableMap{Value: functions(map[string]tengo.CallableFunc{
			"status":  writing(slot, 1, (*Run).setStatus),
			"headers": writing(slot, 2, (*Run).addHeader),
			"write":   writing(slot, 1, (*Run).writeAnswer),
		})},
	}
}

func reading(slot *Slot, read func(*Run) tengo.Object) tengo.CallableFunc {
	return writing(slot, 0, func(r *Run, _ arguments) (tengo.Object, error) { return read(r), nil })
}

func writing(slot *Slot, count int, write func(*Run, arguments) (tengo.Object, error)) tengo.CallableFunc {
	return func(args ...tengo.Object) (tengo.Object, error) {
		if slot.Run.Request == nil {
			return nil, errNoRequest
		}
		if err := arguments(args).between(count, count); err != nil {
			return nil, err
		}
		return write(slot.Run, args)
	}
}

func requestHeaders(r *Run) tengo.Object {
	headers := make(map[string]tengo.Object, len(r.Request.Headers))
	for name, value := range r.Request.Headers {
		headers[name] = &tengo.String{Value: value}
	}
	return &tengo.Map{Value: headers}
}

func (r *Run) setStatus(args arguments) (tengo.Object, error) {
	status, ok := args[0].(*tengo.Int)
	if !ok {
		return nil, args.wrong(0, "status", "int")
	}
	if status.Value < 200 || status.Value > 599 {
		return nil, fmt.Errorf("%w, not %d", errStatusRange, status.Value)
	}
	if len(r.Answer.Body) > 0 {
		return nil, errStatusLate
	}
	r.Answer.Status = int(status.Value)
	return nil, nil
}

func (r *Run) addHeader(args arguments) (tengo.Object, error) {
	name, err := args.text(0, "key")
	if err != nil {
		return nil, err
	}
	value, err := args.text(1, "value")
	if err != nil {
		return nil, err
	}
	if err := checkHeader(name, value); err != nil {
		return nil, fmt.Errorf("cgi.response.headers: %w", err)
	}
	r.Answer.headerBytes += len(name) + len(value) + len(": \r\n")
	if r.Answer.headerBytes > maxHeaderBytes {
		return nil, fmt.Errorf("%w: its headers may have %d bytes", ErrOutput, maxHeaderBytes)
	}
	r.Answer.Headers = append(r.Answer.Headers, [2]string{name, value})
	return nil, nil
}

func (r *Run) writeAnswer(args arguments) (tengo.Object, error) {
	content, err := args.content(0, "content")
	if err != nil {
		return nil, err
	}
	if len(r.Answer.Body)+len(content) > r.Limits.AnswerBytes {
		return nil, fmt.Errorf("%w: its body may have %d bytes (limits.answer_bytes)", ErrOutput, r.Limits.AnswerBytes)
	}
	r.Answer.Body = append(r.Answer.Body, content...)
	return &tengo.Int{Value: int64(len(content))}, nil
}
