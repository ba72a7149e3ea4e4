package modules

import (
	"fmt"

	"github.com/d5/tengo/v2"
)

// logCount is how much a run has logged.
type logCount struct {
	lines int
	bytes int
	cut   bool
}

func logModule(slot *Slot) map[string]tengo.Object {
	at := func(level string) tengo.CallableFunc {
		return func(args ...tengo.Object) (tengo.Object, error) {
			message, err := formatted(args)
			if err != nil {
				return nil, err
			}
			return nil, slot.Run.writeLog(level, message)
		}
	}
	return functions(map[string]tengo.CallableFunc{"info": at("info"), "error": at("error")})
}

func (r *Run) writeLog(level, message string) error {
	if r.log.cut {
		return nil
	}
	r.log.lines++
	r.log.bytes += len(message)
	if r.log.lines > r.Limits.LogLines || r.log.bytes > r.Limits.LogBytes {
		r.log.cut = true
		return r.Log("error", fmt.Sprintf(
			"the log is cut here: a run may log %d lines (limits.log_lines) and %d bytes (limits.log_bytes)",
			r.Limits.LogLines, r.Limits.LogBytes))
	}
	return r.Log(level, message)
}
