package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
)

type example struct {
	Why     string
	Kind    string
	ID      uint32
	Meta    json.RawMessage
	BodyHex string `json:"body_hex"`
	Hex     string
}

type definition struct {
	MaxFrameBytes int `json:"max_frame_bytes"`
	Kinds         map[string]Kind
	Frames        []example
	ReadOnly      []example `json:"read_only"`
	Refused       []example
}

func readDefinition(t testing.TB) definition {
	t.Helper()
	text, err := os.ReadFile("../../testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var d definition
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// value makes JSON texts comparable: their fields may come in any order, their strings in any escaping.
func value(t *testing.T, text []byte) string {
	t.Helper()
	if len(text) == 0 {
		return "{}"
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(again)
}

func TestKindsAndLimitAreThoseOfTheDefinition(t *testing.T) {
	d := readDefinition(t)
	kinds := map[string]Kind{
		"READY": Ready, "CONFIGURE": Configure, "COMPILE": Compile, "COMPILED": Compiled, "NEEDS": Needs,
		"REFUSED": Refused, "FORGET": Forget, "RUN": Run, "LOG": Log, "DONE": Done, "CANCEL": Cancel,
		"PING": Ping, "PONG": Pong,
	}
	if len(kinds) != len(d.Kinds) {
		t.Errorf("%d kinds, the definition has %d", len(kinds), len(d.Kinds))
	}
	for name, number := range kinds {
		if d.Kinds[name] != number {
			t.Errorf("%s is %d, defined as %d", name, number, d.Kinds[name])
		}
	}
	if d.MaxFrameBytes != MaxBytes {
		t.Errorf("limit %d, defined as %d", MaxBytes, d.MaxFrameBytes)
	}
}

func TestExampleFramesAreWrittenAsDefined(t *testing.T) {
	d := readDefinition(t)
	for _, row := range d.Frames {
		meta := []byte(row.Meta)
		if string(meta) == "{}" {
			meta = nil
		}
		data, err := Frame{d.Kinds[row.Kind], row.ID, meta, unhex(t, row.BodyHex)}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(data) != row.Hex {
			t.Errorf("%s %d is written as %x, defined as %s", row.Kind, row.ID, data, row.Hex)
		}
	}
}

func TestExampleFramesAreReadAsDefined(t *testing.T) {
	d := readDefinition(t)
	for _, row := range append(d.Frames, d.ReadOnly...) {
		f, err := NewReader(bytes.NewReader(unhex(t, row.Hex))).Next()
		if err != nil {
			t.Fatalf("%s: %v", row.Kind, err)
		}
		if f.Kind != d.Kinds[row.Kind] || f.ID != row.ID || !bytes.Equal(f.Body, unhex(t, row.BodyHex)) {
			t.Errorf("%s %d is read as %+v", row.Kind, row.ID, f)
		}
		if value(t, f.Meta) != value(t, row.Meta) {
			t.Errorf("%s %d has the meta data %s, defined as %s", row.Kind, row.ID, f.Meta, row.Meta)
		}
	}
}

func TestWhatIsNoFrameIsRefused(t *testing.T) {
	for _, row := range readDefinition(t).Refused {
		f, err := NewReader(bytes.NewReader(unhex(t, row.Hex))).Next()
		if err == nil {
			err = f.DecodeMeta(&struct{}{})
		}
		if err == nil {
			t.Errorf("%s: accepted as %+v", row.Why, f)
		}
	}
}

// The messages' field names are part of the definition: what an example holds must survive its struct.
func TestMessagesHaveTheFieldsOfTheExamples(t *testing.T) {
	d := readDefinition(t)
	messages := map[string]func() any{
		"READY": func() any { return new(ReadyMeta) }, "COMPILE": func() any { return new(CompileMeta) },
		"COMPILED": func() any { return new(CompiledMeta) }, "NEEDS": func() any { return new(NeedsMeta) },
		"REFUSED": func() any { return new(RefusedMeta) }, "FORGET": func() any { return new(ForgetMeta) },
		"RUN": func() any { return new(RunMeta) }, "LOG": func() any { return new(LogMeta) },
		"DONE": func() any { return new(DoneMeta) }, "PONG": func() any { return new(PongMeta) },
	}
	for _, row := range d.Frames {
		make, ok := messages[row.Kind]
		if !ok {
			continue // all of Configure is optional; Cancel and Ping have no fields
		}
		meta := make()
		if err := (Frame{Meta: row.Meta}).DecodeMeta(meta); err != nil {
			t.Fatal(err)
		}
		again, err := Message(d.Kinds[row.Kind], row.ID, meta)
		if err != nil {
			t.Fatal(err)
		}
		if value(t, again.Meta) != value(t, row.Meta) {
			t.Errorf("%s %d: %s came back as %s", row.Kind, row.ID, row.Meta, again.Meta)
		}
	}
}

func TestAStreamCutShortIsToldFromOneThatEnded(t *testing.T) {
	data := unhex(t, readDefinition(t).Frames[0].Hex)
	for length := range data {
		_, err := NewReader(bytes.NewReader(data[:length])).Next()
		want := io.ErrUnexpectedEOF
		if length == 0 {
			want = io.EOF
		}
		if err != want {
			t.Fatalf("%d bytes: %v, not %v", length, err, want)
		}
	}
}

func TestTheLargestFramePassesAndOneByteMoreIsRefused(t *testing.T) {
	largest := Frame{Kind: Run, Body: make([]byte, MaxBytes-shortestBytes)}
	data, err := largest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewReader(bytes.NewReader(data)).Next(); err != nil {
		t.Error(err)
	}
	largest.Body = append(largest.Body, 0)
	if _, err := largest.Encode(); err == nil {
		t.Error("one byte too many was accepted")
	}
}
