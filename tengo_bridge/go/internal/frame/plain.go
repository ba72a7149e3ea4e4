package frame

import (
	"bytes"
	"strconv"
)

// What every run takes, and most runs take in its plainest form, is read and written here without the reflection of
// encoding/json, which does all the rest.

// ReadRun reads the meta data of a Run frame.
func ReadRun(f Frame) (meta RunMeta, err error) {
	if meta, plain := plainRun(f.Meta); plain {
		return meta, nil
	}
	err = f.DecodeMeta(&meta)
	return meta, err
}

// plainRun reads what a worker writes for a run without a request.
func plainRun(text []byte) (meta RunMeta, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte(`{"key":"`))
	if !ok {
		return RunMeta{}, false
	}
	key, rest, ok := bytes.Cut(rest, []byte(`","deadline_ms":`))
	if !ok || bytes.ContainsFunc(key, notPlain) {
		return RunMeta{}, false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok || len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return RunMeta{}, false
	}
	milliseconds, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return RunMeta{}, false
	}
	return RunMeta{Key: string(key), DeadlineMS: milliseconds}, true
}

func notPlain(r rune) bool {
	return r < ' ' || r > '~' || r == '"' || r == '\\'
}

// DoneMessage is a Done frame.
func DoneMessage(id uint32, meta DoneMeta) (Frame, error) {
	if meta.Outcome != "succeeded" || meta.Error != nil || meta.Response != nil {
		return Message(Done, id, meta)
	}
	text := append(make([]byte, 0, 64), `{"outcome":"succeeded","elapsed_us":`...)
	text = strconv.AppendInt(text, meta.ElapsedUS, 10)
	return Frame{Kind: Done, ID: id, Meta: append(text, '}')}, nil
}
