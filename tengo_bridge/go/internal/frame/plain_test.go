package frame

import (
	"reflect"
	"testing"
)

func TestAPlainRunIsReadAsJSONIs(t *testing.T) {
	for _, text := range []string{
		`{"key":"0123abcd","deadline_ms":1000}`, `{"key":"","deadline_ms":1}`, `{"key":"a","deadline_ms":0}`, `{"key":"a","deadline_ms":-5}`,
		`{"key":"a","deadline_ms":9223372036854775807}`, `{"key":"a","deadline_ms":9223372036854775808}`, `{"key":"a","deadline_ms":01}`,
		`{"key":"a","deadline_ms":1.5}`, `{"key":"a","deadline_ms":1e3}`, `{"key":"a","deadline_ms":+1}`, `{"key":"a","deadline_ms":}`,
		`{"key":"a","deadline_ms":1`, `{"key":"a","deadline_ms":1}}`, `{"key":"a","deadline_ms":1} `, `{"key": "a", "deadline_ms": 1}`,
		`{"deadline_ms":1,"key":"a"}`, `{"key":"\u0061","deadline_ms":1}`, `{"key":"å","deadline_ms":1}`, "{\"key\":\"a\x01\",\"deadline_ms\":1}",
		`{"key":"a\",\"deadline_ms\":2,\"x\":\"","deadline_ms":1}`, `{"key":"a","deadline_ms":1,"key":"b"}`, `{"key":"a","deadline_ms":1_0}`,
		`{"key":"a","deadline_ms":1,"request":{"method":"GET"}}`, `{}`, ``, `[]`, `{"key":"a","deadline_ms":"1"}`,
	} {
		f := Frame{Kind: Run, Meta: []byte(text)}
		var want RunMeta
		wantErr := f.DecodeMeta(&want)
		got, err := ReadRun(f)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; by JSON %+v, %v", text, got, err, want, wantErr)
		}
	}
}

func TestAPlainDoneIsWrittenAsJSONIs(t *testing.T) {
	for _, meta := range []DoneMeta{
		{Outcome: "succeeded"}, {Outcome: "succeeded", ElapsedUS: 123456}, {Outcome: "succeeded", ElapsedUS: -1}, {Outcome: "cancelled", ElapsedUS: 5},
		{Outcome: "failed", Error: &Failure{Kind: "runtime", Message: "x", Stack: []string{}}}, {Outcome: "succeeded", Response: &Response{Status: 200}},
	} {
		got, err := DoneMessage(7, meta)
		want, wantErr := Message(Done, 7, meta)
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %v; by JSON %s, %v", got.Meta, err, want.Meta, wantErr)
		}
	}
}
